"""The tiny model, loaded once: as PyTorch runs it and as ONNX Runtime runs its export."""

import json
from pathlib import Path

import pytest
import torch
import transformers
from transformers import GPT2LMHeadModel

from aqlens_export.check import open_session

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = ROOT / "tests" / "fixtures"
TINY = FIXTURES / "tiny"

torch.set_num_threads(1)
transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="session")
def model() -> GPT2LMHeadModel:
    """The committed checkpoint, eager attention."""
    checkpoint = TINY / "checkpoint"
    return GPT2LMHeadModel.from_pretrained(checkpoint, attn_implementation="eager").eval()


@pytest.fixture(scope="session")
def session():
    """The committed export."""
    return open_session(TINY / "model.onnx", threads=1)


@pytest.fixture(scope="session")
def head():
    """The committed export's head."""
    return open_session(TINY / "head.onnx", threads=1)


@pytest.fixture(scope="session")
def past():
    """The committed export's graph with a past."""
    return open_session(TINY / "past.onnx", threads=1)


@pytest.fixture(scope="session")
def patch():
    """The committed export's graph from a stream on."""
    return open_session(TINY / "patch.onnx", threads=1)


@pytest.fixture(scope="session")
def described() -> dict:
    """The committed model.json."""
    return json.loads((TINY / "model.json").read_text(encoding="utf-8"))


@pytest.fixture
def small_config() -> dict:
    """The shape of a model that exports in a second, with weights that attention shows."""
    shape = {"n_layer": 2, "n_head": 2, "n_embd": 16, "vocab_size": 320, "n_positions": 32}
    return {**shape, "initializer_range": 0.3}
