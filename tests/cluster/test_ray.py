"""`python -m aqlens.ray` on two nodes with nodes killed: the tables of one process, nothing finished done
again, no orphans; and what it says of everything that goes wrong.

    make test-ray        (SEEDS=5 kills at that many moments of each kind; 1 when it is not set)
"""

import os
import random
import signal
import time

import nodes
import pytest

SEEDS = range(int(os.environ.get("SEEDS", "1")))


def ended(driver, seconds=1800):
    out, err = driver.communicate(timeout=seconds)
    return driver.returncode, out, err


def test_two_nodes_give_the_tables_of_one_process(place, pipeline, whole, second):
    run = place / "clean"
    code, _, err = ended(nodes.driver(pipeline, run))
    assert code == 0, err
    assert nodes.bytes_of(run) == whole[0]
    assert "30/30 shards" in err
    assert nodes.gone(run) == []


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("what", ["raylet", "node"])
def test_a_node_that_is_killed_costs_what_was_in_flight(place, pipeline, whole, second, what, seed):
    run = place / f"killed-{what}-{seed}"
    driver = nodes.driver(pipeline, run)
    moment = random.Random(f"{what} {seed}").uniform(0.15, 0.85)
    until = time.monotonic() + 900
    while len(nodes.receipts(run)) < 1 + moment * 30 * 12 * 0.9 and time.monotonic() < until:
        time.sleep(0.02)
    pid = nodes.raylet(nodes.SECOND)
    before = nodes.receipts(run)
    nodes.kill([pid] if what == "raylet" else nodes.tree(pid))
    code, _, err = ended(driver)
    assert code == 0, err
    after = nodes.receipts(run)
    again = [name for name, written in before.items() if after[name] != written]
    print(f"{what} {seed}: {len(before)} receipts before the kill, {len(again)} written again")
    assert again == []
    assert nodes.bytes_of(run) == whole[0]
    assert nodes.gone(run) == []


def test_an_interrupt_stops_all_workers_and_the_same_command_goes_on(place, pipeline, whole, second):
    run = place / "interrupted"
    driver = nodes.driver(pipeline, run)
    while len(nodes.receipts(run)) < 40:
        time.sleep(0.05)
    driver.send_signal(signal.SIGINT)
    code, _, err = ended(driver)
    assert code == 130, err
    assert "run the same command again" in err
    assert nodes.gone(run) == []
    code, _, err = ended(nodes.driver(pipeline, run))
    assert code == 0, err
    assert nodes.bytes_of(run) == whole[0]


def test_a_driver_that_is_killed_leaves_no_orphans(place, pipeline, second):
    run = place / "driver-killed"
    driver = nodes.driver(pipeline, run)
    while len(nodes.receipts(run)) < 20:
        time.sleep(0.05)
    driver.kill()
    driver.communicate()
    assert nodes.gone(run, 40) == []
