"""The scripts of export/ in an environment that has another checkout's package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXPORT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(
    file.name for file in EXPORT.glob("*.py") if "aqlens_export" in file.read_text("utf-8")
)

# What the script has imported, without running it.
ASK = """
import runpy, sys
sys.path.insert(0, sys.argv[1].rpartition("/")[0])
runpy.run_path(sys.argv[1], run_name="not_main")
print(sys.modules["aqlens_export"].__file__)
"""


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_uses_its_own_checkout_s_exporter(script, tmp_path):
    other = tmp_path / "aqlens_export"
    other.mkdir()
    (other / "__init__.py").write_text("")
    ended = subprocess.run(
        [sys.executable, "-c", ASK, EXPORT / script],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = ended.stdout.splitlines()[-1:]
    assert found == [str(EXPORT.parent / "python/aqlens_export/__init__.py")], ended.stderr
