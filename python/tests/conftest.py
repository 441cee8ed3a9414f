"""Real runs of the program: of the tiny model's pipeline with every kind of stage, and of the demo.

The program is the one that AQLENS names, else the one installed with the package.
"""

import sys
from pathlib import Path

import pytest

import aqlens

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "fixtures" / "tiny.yml"
KINDS = ROOT / "tests" / "fixtures" / "kinds.yml"


@pytest.fixture(scope="session", autouse=True)
def _onnxruntime():
    """ONNX Runtime is that of the Python that runs the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORT_DYLIB_PATH", sys.prefix)
        yield


@pytest.fixture(scope="session")
def tiny(tmp_path_factory):
    """A run of the tiny model in a folder whose name has what readers take for a pattern."""
    folder = tmp_path_factory.mktemp("runs") / "odd [a-z] * name?"
    return aqlens.run(TINY, folder)


@pytest.fixture(scope="session")
def kinds(tmp_path_factory):
    """A run with the kinds of stages that `tiny` lacks."""
    return aqlens.run(KINDS, tmp_path_factory.mktemp("runs") / "kinds")


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    return aqlens.demo(tmp_path_factory.mktemp("demo") / "here")
