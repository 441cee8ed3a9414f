"""Running and checking: settings, errors with their problems, progress, interruption."""

import _thread
import logging
import signal
import threading
import time

import pytest
from conftest import KINDS, ROOT, TINY

import aqlens
from aqlens import _program, _progress, _settings

BAD = ROOT / "tests" / "fixtures" / "bad"


def sets(settings=None, **keywords):
    return _settings.arguments(settings, keywords)[1::2]


def test_settings_are_written_the_same_in_three_ways():
    expected = ["stages.tokens.top_k=7", 'provider="cpu"']
    assert sets(stages__tokens__top_k=7, provider="cpu") == expected
    assert sets({"stages": {"tokens": {"top_k": 7}}, "provider": "cpu"}) == expected
    assert sets({"stages.tokens.top_k": 7}, provider="cpu") == expected
    # A whole path has its value as it is.
    assert sets({"scenarios.s.controls": {"neutral": {"auto": 2}}}) == [
        'scenarios.s.controls={"neutral": {"auto": 2}}'
    ]
    assert sets(model=ROOT / "data", prompt="{task} 😀\n{input}") == [
        f'model="{ROOT}/data"',
        'prompt="{task} 😀\\n{input}"',
    ]
    with pytest.raises(TypeError, match="cannot be set"):
        sets(layers={1, 2})
    with pytest.raises(ValueError):
        sets(max_skipped=float("nan"))


def test_settings_reach_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = tmp_path / "model"
    model.symlink_to(ROOT / "tests" / "fixtures" / "tiny")
    same = {"prompt": '{task} "😀"\n{input}', "model": "model", "max_skipped": 0.5}
    same["stages.extract.too_long"] = "skip"
    run = aqlens.run(TINY, settings=same, stages__tokens__top_k=7, threads=1)
    assert run.path.as_posix() == "runs/tiny" and run.is_finished
    assert run.table("next_tokens").collect()["rank"].max() == 7
    assert all('"😀"\n' in text for text in run.prompts["text"])
    again = aqlens.run(TINY, settings=same, stages__tokens__top_k=3)
    assert again.table("next_tokens").collect()["rank"].max() == 3


def test_skipped_prompts_are_no_error_and_are_logged(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "aqlens"):
        run = aqlens.run(KINDS, tmp_path / "run", progress=False)
    assert run.n_skipped == 2 == run.table("skipped").collect().height
    skipped = [record.message for record in caplog.records if record.levelno == logging.WARNING]
    assert sum(message.startswith("skipped too-long/long/") for message in skipped) == 2
    assert any("ONNX Runtime" in record.message for record in caplog.records)


@pytest.mark.parametrize("call", [aqlens.run, aqlens.check])
def test_a_wrong_pipeline_has_all_its_problems(call):
    with pytest.raises(aqlens.WrongPipeline) as caught:
        call(BAD / "name.yml")
    error = caught.value
    assert error.exit_code == 2
    assert [problem.at for problem in error.problems] == ["name", "model", "scenarios", "stages"]
    assert "begin with `- kind: extract`" in str(error.problems[3])
    assert "4 problems" in str(error)


def test_a_command_that_is_wrong_without_a_problem_in_the_file_says_so(tmp_path):
    (tmp_path / "mine").write_text("something else")
    with pytest.raises(aqlens.WrongPipeline) as caught:
        aqlens.run(TINY, tmp_path)
    (problem,) = caught.value.problems
    assert str(tmp_path) in problem.message and "\n" not in str(problem.at)


def test_a_failure_says_what_failed(tmp_path):
    with pytest.raises(aqlens.Failed, match="nowhere") as caught:
        aqlens.run(TINY, tmp_path / "run", onnxruntime=tmp_path / "nowhere")
    assert caught.value.exit_code == 1


def test_check_says_what_a_run_takes():
    plan = aqlens.check(TINY, stages__tokens__top_k=7)
    assert plan["prompts"] == 48 and plan["shards"] == 1 and plan["tokens"] == 1084
    with pytest.raises(aqlens.WrongPipeline) as caught:
        aqlens.check(TINY, stages__tokens__top_j=7)
    assert "top_k" in str(caught.value)


def test_shares_are_finished_by_finish(tmp_path):
    for k in range(2):
        share = aqlens.run(KINDS, tmp_path / "run", shard=f"{k}/2")
        assert not share.is_finished
    with pytest.raises(aqlens.NotInRun, match="not finished"):
        _ = share.verdict
    assert aqlens.run(KINDS, tmp_path / "run", finish=True).is_finished


def test_those_who_join_leave_what_others_do_and_the_status_says_how_far_a_run_is(tmp_path):
    aqlens.run(KINDS, tmp_path / "run", shards="0", shard_inputs=1)
    progress = aqlens.status(tmp_path / "run")
    assert (progress["done"], progress["n_missing"]) == ("0", progress["shards"] - 1)
    aqlens.run(KINDS, tmp_path / "run", join=True, shard_inputs=1)
    assert aqlens.status(tmp_path / "run")["missing"] == ""
    assert aqlens.run(KINDS, tmp_path / "run", finish=True, shard_inputs=1).is_finished
    with pytest.raises(aqlens.WrongPipeline):
        aqlens.status(tmp_path)


def test_an_interrupt_stops_the_program_and_the_same_call_continues(tmp_path, monkeypatch, request):
    started = threading.Event()

    class Interrupting(_progress.Log):
        def hear(self, line):
            super().hear(line)
            if '"started"' in line and not started.is_set():
                started.set()
                _thread.interrupt_main()
                time.sleep(0)

    # A shell's background job ignores interrupts, and then Python does too.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    monkeypatch.setattr("aqlens._calls.Log", Interrupting)
    pids = []
    popen = _program.subprocess.Popen
    monkeypatch.setattr(
        "aqlens._calls.subprocess.Popen",
        lambda *a, **k: pids.append(popen(*a, **k)) or pids[-1],
    )
    with pytest.raises(KeyboardInterrupt):
        aqlens.run(KINDS, tmp_path / "run")
    assert pids[0].returncode in (130, -15), "ended, and waited for"
    monkeypatch.undo()
    assert aqlens.run(KINDS, tmp_path / "run").is_finished


def test_a_bar_counts_the_prompts(tmp_path, monkeypatch):
    import tqdm.auto

    bars = []

    class Bar(tqdm.auto.tqdm):
        def __init__(self, *args, **keywords):
            super().__init__(*args, **keywords)
            bars.append(self)

    monkeypatch.setattr(tqdm.auto, "tqdm", Bar)
    aqlens.run(KINDS, tmp_path / "run")
    (bar,) = bars
    assert bar.n == bar.total > 0


def test_codes_and_signals_have_their_errors():
    kinds = {
        1: "Failed",
        2: "WrongPipeline",
        101: "BrokenError",
        130: "Interrupted",
        -9: "Interrupted",
    }
    for code, name in kinds.items():
        error = _program.error_of(code, "error: a\n")
        assert (type(error).__name__, error.exit_code) == (name, code)
    assert str(_program.error_of(1, "error: a\n")) == "a"
