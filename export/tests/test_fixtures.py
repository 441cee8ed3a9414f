"""The committed fixtures are what `make fixtures` makes now."""

import hashlib
import json
import re

import pytest
from safetensors.torch import load_file
from transformers import AutoTokenizer

import make_fixtures
import tiny_model
from aqlens_export.graphs import GRAPHS
from aqlens_export.run import ExportOptions, export_model
from aqlens_export.source import from_checkpoint

from .conftest import FIXTURES, ROOT, TINY

DEMO = ROOT / "data" / "demo"
EXPERIMENT = FIXTURES / "reference" / "experiment-037.json"


# What another processor's order of summing may change, at most. Between the one that made the
# fixtures and one with AVX2 alone, or an Intel Xeon with AMX, largest seen: 1.02e-6 of
# probabilities, weights and cosines; 2.9e-6 of what follows from logits, whose last float32 digits
# are 1e-6 and more (the Rust tests allow aqlens 2e-5 there); 1.2e-7 of a vector's norm.
TOLERANCE = 2e-6
FROM_LOGITS = re.compile(r"surprisal_bits|entropy_bits|kl_to_final|logit_lens\.\d+\.gap")
OF_LOGITS = 5e-6
OF_NORM = 5e-7

NUMBER = re.compile(r"\d+\.\d+")


def assert_close(made, committed, where="$", allowed=TOLERANCE):
    """Equal, but for numbers, also those in texts, which may differ by what is allowed."""
    if isinstance(committed, dict):
        assert list(made) == list(committed), where
        if "norm" in committed:
            allowed = OF_NORM * committed["norm"]
        for key in committed:
            place = f"{where}.{key}"
            own = OF_LOGITS if FROM_LOGITS.search(place) else allowed
            assert_close(made[key], committed[key], place, own)
    elif isinstance(committed, list):
        assert len(made) == len(committed), where
        for i, (a, b) in enumerate(zip(made, committed, strict=True)):
            assert_close(a, b, f"{where}[{i}]", allowed)
    elif isinstance(committed, float):
        assert made == pytest.approx(committed, rel=1e-6, abs=allowed), where
    elif isinstance(committed, str):
        assert NUMBER.sub("#", made) == NUMBER.sub("#", committed), where
        numbers = [list(map(float, NUMBER.findall(text))) for text in (made, committed)]
        assert_close(*numbers, where, allowed)
    else:
        assert made == committed, where


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Everything of the tiny model, made again elsewhere."""
    folder = tmp_path_factory.mktemp("fixtures")
    make_fixtures.make_tiny(folder, FIXTURES / "tiny.yml")
    return folder


def test_the_tiny_checkpoint_comes_out_the_same(made):
    files = sorted(p.name for p in (TINY / "checkpoint").iterdir())
    assert files == sorted(p.name for p in (made / "tiny" / "checkpoint").iterdir())
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        assert read(made / "tiny" / "checkpoint" / name) == read(TINY / "checkpoint" / name)
    committed = load_file(TINY / "checkpoint" / "model.safetensors")
    again = load_file(made / "tiny" / "checkpoint" / "model.safetensors")
    assert committed.keys() == again.keys()
    for name, weights in committed.items():
        assert (weights - again[name]).abs().max() < 1e-6, name


def test_the_tiny_graph_is_the_export_of_the_tiny_checkpoint(tmp_path):
    options = ExportOptions(tmp_path / "m", model=str(TINY / "checkpoint"), name="tiny", threads=1)
    export_model(options, lambda _line: None)
    for name in (*GRAPHS, "model.onnx.data", "tokenizer.json"):
        assert (tmp_path / "m" / name).read_bytes() == (TINY / name).read_bytes()
    again, committed = read(tmp_path / "m" / "model.json"), read(TINY / "model.json")
    assert_close(again.pop("probe"), committed.pop("probe"))
    assert again == committed


def test_the_tiny_numbers_come_out_the_same(made):
    committed = read(FIXTURES / "reference" / "tiny.json")
    again = read(made / "reference" / "tiny.json")
    # A number almost close enough to an edge for that list may be in it on another processor.
    assert len(again.pop("close_calls")) <= 1 and committed.pop("close_calls") == []
    assert_close(again, committed)


def test_no_number_of_the_tiny_model_is_a_close_call():
    assert read(FIXTURES / "reference" / "tiny.json")["close_calls"] == []


def test_close_calls_are_found():
    committed = read(FIXTURES / "reference" / "tiny.json")
    prompt = committed["scenarios"][0]["inputs"][1]["prompts"][0]
    committed["scenarios"][0]["mean_similarity"]["0"] = 0.43245
    prompt["focus"]["gap"] = 1e-7
    prompt["next_tokens"][1]["probability"] = prompt["next_tokens"][0]["probability"]
    found = list(make_fixtures.close_calls(committed))
    assert len(found) == 3
    assert "mean similarity 0.43245 of odd-texts layer 0" in found[0]


def test_the_prompts_reach_from_fewer_than_k_tokens_to_every_position():
    committed = read(FIXTURES / "reference" / "tiny.json")
    lengths = [
        len(prompt["token_ids"])
        for scenario in committed["scenarios"]
        for row in scenario["inputs"]
        for prompt in row["prompts"]
    ]
    assert min(lengths) == 4 and max(lengths) == tiny_model.CONFIG["n_positions"]


def test_transformers_and_the_tokenizer_file_agree_on_every_text():
    slow = AutoTokenizer.from_pretrained(TINY / "checkpoint")
    plain = tiny_model.make_tokenizer()
    committed = read(FIXTURES / "reference" / "tiny.json")
    for scenario in committed["scenarios"]:
        for prompt in (p for row in scenario["inputs"] for p in row["prompts"]):
            assert slow(prompt["text"])["input_ids"] == prompt["token_ids"]
            assert plain.encode(prompt["text"]).ids == prompt["token_ids"]
            assert plain.decode(prompt["token_ids"], skip_special_tokens=False) == prompt["text"]


def test_fixtures_stay_small():
    assert sum(p.stat().st_size for p in TINY.rglob("*") if p.is_file()) < 600_000
    for path in (FIXTURES / "reference").iterdir():
        assert path.stat().st_size < 400_000, path.name


def test_skipping_the_demo_is_said(made, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(make_fixtures, "DEMO_CHECKPOINT", tmp_path)
    assert make_fixtures.main(["--out", str(made)]) == 0
    assert "skipped   experiment-037.json" in capsys.readouterr().out


@pytest.mark.skipif(not EXPERIMENT.exists(), reason="the demo model is not trained yet")
def test_the_notebooks_numbers_on_the_demo_model_come_out_the_same(tmp_path):
    out = tmp_path / "experiment-037.json"
    pipeline = ROOT / "pipelines" / "experiment-037.yml"
    make_fixtures.make_numbers(pipeline, DEMO / "checkpoint", out)
    assert_close(read(out), read(EXPERIMENT))


@pytest.mark.skipif(not (DEMO / "model.json").exists(), reason="the demo model is not exported")
def test_the_demo_folder_is_the_export_of_its_checkpoint(tmp_path):
    described = read(DEMO / "model.json")
    for name, seal in described["files"].items():
        data = (DEMO / name).read_bytes()
        assert seal == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    name = described["source"]["name"]
    source = from_checkpoint(str(DEMO / "checkpoint"), None)
    assert source.model.config.n_layer == described["n_layer"]
    checkpoint = str(DEMO / "checkpoint")
    options = ExportOptions(tmp_path / "m", model=checkpoint, name=name, threads=1)
    export_model(options, lambda _line: None)
    for name in (*GRAPHS, "model.onnx.data"):
        assert (tmp_path / "m" / name).read_bytes() == (DEMO / name).read_bytes(), name
