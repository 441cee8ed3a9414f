"""`python -m aqlens.ray` on two nodes with nodes killed: the tables of one process, nothing finished done
again, no orphans; and what it says of everything that goes wrong.

    make test-ray        (SEEDS=5 kills at that many moments of each kind; 1 when it is not set)
"""

import json
import os
import random
import signal
import subprocess
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
    began = time.monotonic()
    nodes.until(lambda: len(nodes.receipts(run)) >= 1 + moment * 30 * 12 * 0.9, 900)
    pid = nodes.raylet(nodes.SECOND)
    before = nodes.receipts(run)
    nodes.kill([pid] if what == "raylet" else nodes.tree(pid))
    code, _, err = ended(driver)
    assert code == 0, err
    after = nodes.receipts(run)
    again = [name for name, written in before.items() if after[name] != written]
    seconds = time.monotonic() - began
    print(f"{what} {seed}: {len(before)} receipts before the kill, {len(again)} written again, {seconds:.1f} s")
    assert again == []
    assert nodes.bytes_of(run) == whole[0]
    assert nodes.gone(run) == []


def held(run):
    """Shards whose locks a process still has."""
    said = subprocess.run([nodes.AQLENS, "status", run, "--json"], capture_output=True, text=True, check=True)
    return json.loads(said.stdout)["held"]


@pytest.mark.parametrize(
    "whom, what",
    [("driver", "SIGINT"), ("driver", "SIGTERM"), ("group", "SIGINT"), ("group of a cluster of its own", "SIGINT")],
)
def test_an_interrupt_stops_all_workers_and_the_same_command_goes_on(place, pipeline, whole, second, whom, what):
    """A terminal sends it to all processes of the group: where the driver started Ray itself, to Ray's too."""
    run = place / f"{what}-{whom.replace(' ', '-')}"
    address = "local" if "own" in whom else nodes.ADDRESS
    before = set(nodes.processes())
    driver = nodes.driver(pipeline, run, address=address)
    nodes.until(lambda: len(nodes.receipts(run)) >= 40)
    (os.kill if whom == "driver" else os.killpg)(driver.pid, signal.Signals[what])
    code, _, err = ended(driver, 60)
    assert nodes.at_work(run) == [], "the driver waits for its workers"
    assert code == 130, err
    assert "run the same command again" in err and "Traceback" not in err
    assert held(run) == []
    assert list((run / ".pending").iterdir()) == []
    # The workers of a cluster that stays may stay as well, for a next task.
    if "own" in whom:
        nodes.until(lambda: not nodes.rays(before), 20)
    kept = nodes.receipts(run)
    code, _, err = ended(nodes.driver(pipeline, run, address=address))
    assert code == 0, err
    after = nodes.receipts(run)
    again = [name for name, written in kept.items() if after[name] != written]
    print(f"{what} to the {whom}: {len(kept)} receipts when it had stopped, {len(again)} written again")
    assert again == []
    assert nodes.bytes_of(run) == whole[0]


def test_a_second_interrupt_changes_nothing(place, pipeline, second):
    run = place / "interrupted-twice"
    driver = nodes.driver(pipeline, run)
    nodes.until(lambda: len(nodes.receipts(run)) >= 20)
    for _ in range(2):
        driver.send_signal(signal.SIGINT)
        time.sleep(0.1)
    code, _, err = ended(driver, 60)
    assert code == 130, err
    assert "Traceback" not in err
    assert nodes.gone(run, 1) == [] and held(run) == []


def test_an_interrupt_while_the_cluster_starts_leaves_nothing(place, pipeline):
    run, before = place / "interrupted-early", set(nodes.processes())
    driver = nodes.driver(pipeline, run, address="local")
    nodes.until(lambda: any("gcs_server" in nodes.processes().get(pid, (0, ""))[1] for pid in nodes.rays(before)))
    os.killpg(driver.pid, signal.SIGINT)
    code, _, err = ended(driver, 90)
    assert code == 130, err
    assert "run the same command again" in err and "Traceback" not in err
    nodes.until(lambda: not nodes.rays(before), 20)


def test_a_driver_that_is_killed_leaves_no_orphans(place, pipeline, second):
    run = place / "driver-killed"
    driver = nodes.driver(pipeline, run)
    nodes.until(lambda: len(nodes.receipts(run)) >= 20)
    driver.kill()
    driver.communicate()
    assert nodes.gone(run, 40) == []
