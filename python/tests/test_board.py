"""Which process a driver starts next, without any engine."""

import json

from aqlens._board import Board, all_but, free, ranges
from aqlens._work import told

NODES = {"a": ("host a", 1), "b": ("host b", 2)}


def progress(missing, held=(), shards=10):
    return {"shards": shards, "missing": missing, "held": [{"shard": shard} for shard in held]}


def outcome(code, text="", end=None, open=()):
    return {"code": code, "text": text, "end": end, "open": list(open), "out": ""}


def board(**settings):
    made = Board(**settings)
    made.see(NODES)
    return made


def test_ranges_are_read_and_written_as_the_program_does():
    assert ranges("3,7,12-20") == [(3, 3), (7, 7), (12, 20)]
    assert ranges("") == []
    assert free("3,7,12-20", {7, 13, 99}) == 9
    assert all_but({0, 3, 4, 9}, 10) == "1-2,5-8"
    assert all_but({5}, 6) == "0-4"
    assert all_but({0}, 1) == ""


def test_every_slot_joins_at_first_and_only_for_what_is_free_later():
    one = board()
    jobs = one.start(None)
    assert [job.node for job in jobs] == ["a", "b", "b"]
    assert [one.words(job)[0] for job in jobs] == ["--join"] * 3
    assert one.start(None) == []
    one.ended(jobs[0], outcome(0))
    assert one.start(progress("4-5", held=[4, 5])) == [], "others are working on them"
    one.ended(jobs[1], outcome(0))
    again = one.start(progress("4-6", held=[4]))
    assert len(again) == 1, "two are free, and one that joined may take one of them"
    for job in (jobs[2], *again):
        one.ended(job, outcome(3))
    (last,) = one.start(progress(""))
    assert last.finishes and one.words(last) == ["--finish"]
    one.ended(last, outcome(0))
    assert one.finished is not None and one.start(progress("")) == []


def test_no_more_run_at_once_than_may():
    one = board(most=2)
    jobs = one.start(None)
    assert len(jobs) == 2 == len(one.running)
    one.ended(jobs[0], outcome(0))
    assert len(one.start(progress("0-9"))) == 1


def test_a_shard_that_fails_is_tried_alone_and_given_up_in_the_end():
    one = board(tries=3)
    jobs = one.start(None)
    one.ended(jobs[0], outcome(1, "stage 'lens' failed on shard 7", end={"shard": 7}))
    (alone,) = one.start(progress("5-9", held=[5, 6]))
    assert one.words(alone) == ["--shards", "7", "--quiet"]
    one.ended(alone, outcome(-9, "ended with -9", open=[7]))
    assert one.given_up == {}
    (alone, *_) = [job for job in one.start(progress("7")) if job.shard == 7]
    one.ended(alone, outcome(-9, "ended with -9"))
    assert one.given_up == {7: "ended with -9"}
    for job in list(one.running):
        one.ended(job, outcome(0))
    assert one.start(progress("7")) == [], "neither again nor to the end"


def test_what_a_lost_worker_had_begun_is_tried_alone_and_others_leave_it():
    one = board()
    jobs = one.start(None)
    one.ended(jobs[1], outcome(-9, "the worker was lost", open=[2, 3]))
    later = one.start(progress("0-9"))
    assert {job.shard for job in later} == {2}, "there is one slot"
    for job in (jobs[0], jobs[2]):
        one.ended(job, outcome(0))
    words = [one.words(job) for job in one.start(progress("0-9"))]
    assert ["--shards", "3", "--quiet"] in words
    assert ["--join", "--shards", "0-1,4-9", "--quiet"] in words


def test_a_machine_that_cannot_gets_nothing_more_and_one_that_may_later_rests():
    one = board()
    jobs = one.start(None, now=0.0)
    one.ended(jobs[0], outcome(2, "there is no model"), now=1.0)
    assert one.unfit == {"host a": (2, "there is no model")}
    one.ended(jobs[1], outcome(75, "no room", end={"retry": True}), now=1.0)
    assert one.start(progress("0-9"), now=2.0) == [], "it rests"
    assert [job.node for job in one.start(progress("0-9"), now=7.0)] == ["b"]
    for job in list(one.running):
        one.ended(job, outcome(75, "no room", end={"retry": True}), now=8.0)
    assert one.is_stuck and one.unfit["host b"] == (75, "no room")


def test_a_machine_that_comes_back_is_a_new_one():
    one = board()
    (first, *_) = one.start(None)
    one.ended(first, outcome(2, "wrong"))
    one.see({"b": NODES["b"]})
    one.see({**NODES})
    assert one.unfit == {}


def test_shards_whose_receipts_do_not_hold_are_done_by_those_who_join():
    one = board()
    for job in one.start(None):
        one.ended(job, outcome(0))
    (finish,) = one.start(progress(""))
    one.ended(finish, outcome(1, "not done: 4", end={"missing": "4"}))
    assert [one.words(job)[0] for job in one.start(progress(""))] == ["--join"] * 3


def test_a_run_that_has_nothing_free_by_the_programs_own_word_is_finished():
    one = board()
    idle = {"parts_written": 0, "left": ""}
    for job in one.start(progress("3")):
        one.ended(job, outcome(0, end=idle))
    (job,) = one.start(progress("3"))
    assert job.finishes, "receipts alone say that shard 3 is missing"


def test_a_log_that_is_cut_off_says_what_was_begun(tmp_path):
    lines = [
        {"event": "started", "shard": 4, "stage": "extract"},
        {"event": "started", "shard": 5, "stage": "extract"},
        {"event": "shard", "shard": 4, "prompts": 2},
    ]
    path = tmp_path / "log"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines) + '{"event": "sta')
    found = told(str(path))
    assert (found.done, found.open, found.end) == ([4], [5], None)
    assert told(str(tmp_path / "none")).open == []
