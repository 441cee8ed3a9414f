"""A small model folder that takes any chat template, and the templates of published packages.

AQLENS names the program (else the release build), TEMPLATES a folder with the wheels that
`make test-templates` fetches; the Python is that of export/. Nothing of the templates is in this
repository: they are many models', under many licences.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import transformers
from tokenizers import Tokenizer
from transformers import PreTrainedTokenizerFast

ROOT = Path(__file__).resolve().parents[2]
# This checkout's package, wherever the environment's own was installed from.
sys.path.insert(0, str(ROOT / "python"))

from aqlens_export.run import ExportOptions, export_model  # noqa: E402

transformers.utils.logging.set_verbosity_error()

NAMED = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>"}
"""Special tokens that templates ask for by name."""

SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16384,
    "initializer_range": 0.3,
}


def wheels() -> list[Path]:
    """The packages with templates."""
    assert "TEMPLATES" in os.environ, "set TEMPLATES, as `make test-templates` does"
    found = sorted(Path(os.environ["TEMPLATES"]).glob("*.whl"))
    assert found, f"no package lies in {os.environ['TEMPLATES']}"
    return found


def templates() -> dict[str, str]:
    """Every file of a Jinja template in the packages, by package and name."""
    found = {}
    for wheel in wheels():
        package = re.split("[-_]", wheel.name)[0]
        with zipfile.ZipFile(wheel) as files:
            for name in sorted(n for n in files.namelist() if n.endswith(".jinja")):
                found[f"{package}/{Path(name).stem}"] = files.read(name).decode("utf-8")
    return found


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    """A model folder with random weights and a tokenizer that has the named special tokens."""
    folder = tmp_path_factory.mktemp("templates")
    tokenizer = Tokenizer.from_file(str(ROOT / "tests/fixtures/tiny/tokenizer.json"))
    tokenizer.add_special_tokens(sorted(NAMED.values()))
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {**SHAPE, "vocab_size": tokenizer.get_vocab_size()}
    options = ExportOptions(
        out=folder / "base",
        config=json.dumps(config),
        family="llama",
        seed=7,
        threads=1,
        tokenizer=folder / "tokenizer.json",
    )
    export_model(options, say=lambda _line: None)
    return folder / "base"


@pytest.fixture(scope="session")
def tokenizer(base) -> PreTrainedTokenizerFast:
    """transformers' tokenizer of the base model."""
    return PreTrainedTokenizerFast(tokenizer_file=str(base / "tokenizer.json"), **NAMED)


PIPELINE = """
name: p
model: model
chat: { user: "{task} {input}", date: 2026-01-02 }
scenarios:
  - name: s
    inputs: { ball: "A red ball." }
    tasks: { color: "What color is it?", place: "Where is it?" }
stages:
  - kind: extract
"""


def check(base: Path, folder: Path, card: dict) -> subprocess.CompletedProcess:
    """`aqlens check` of a chat pipeline on the base model with this chat template."""
    model = folder / "model"
    model.mkdir()
    for file in base.iterdir():
        if file.name != "model.json":
            os.link(file, model / file.name)
    described = json.loads((base / "model.json").read_text(encoding="utf-8"))
    named = {name.removesuffix("_token"): text for name, text in NAMED.items()}
    ids = Tokenizer.from_file(str(base / "tokenizer.json")).token_to_id
    described["special_tokens"]["named"] = {
        name: {"id": ids(text), "text": text} for name, text in named.items()
    }
    described["chat_template"] = card["template"]
    described["probe"]["conversations"] = card["conversations"]
    (model / "model.json").write_text(json.dumps(described), encoding="utf-8")
    (folder / "p.yml").write_text(PIPELINE, encoding="utf-8")
    program = os.environ.get("AQLENS", ROOT / "target/release/aqlens")
    program = shutil.which(program) or program
    return subprocess.run(
        [program, "check", folder / "p.yml"], capture_output=True, text=True, check=False
    )
