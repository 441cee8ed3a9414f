"""Where the program is, and how it is called."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from aqlens._errors import (
    AqlensError,
    BrokenError,
    Failed,
    Interrupted,
    Later,
    NoProgram,
    WrongPipeline,
)

NAME = "aqlens" + (sysconfig.get_config_var("EXE") or "")

BY_CODE: dict[int, type[AqlensError]] = {
    1: Failed,
    2: WrongPipeline,
    75: Later,
    101: BrokenError,
    130: Interrupted,
}


def find_bin() -> str:
    """The path of the program `aqlens`.

    It is what the variable ``AQLENS`` names, else the one that was installed with this package
    (into its environment, for the user, or by ``pip install --target``), else that of ``PATH``.

    Raises:
        NoProgram: there is none, with every place that was looked at.
    """
    named = os.environ.get("AQLENS")
    if named:
        if Path(named).is_file():
            return str(Path(named).absolute())
        raise NoProgram(
            f"AQLENS names {named}, and there is no such file: name the program, or unset it"
        )
    places = list(_places())
    for place in places:
        if place.is_file():
            return str(place)
    on_path = shutil.which(NAME)
    if on_path is not None:
        return on_path
    looked = ", ".join(str(place) for place in places)
    raise NoProgram(
        f"there is no program {NAME} in {looked} or in PATH: install the wheel (it has the "
        "program), or name a build of your own in the variable AQLENS"
    )


def _places() -> Iterator[Path]:
    """Where installers put programs, this environment's first."""
    yield Path(sysconfig.get_path("scripts")) / NAME
    # `pip install --prefix` and `--target`: beside the package.
    package = Path(__file__).resolve().parent
    yield package.parents[2] / ("Scripts" if os.name == "nt" else "bin") / NAME
    yield package.parent / "bin" / NAME
    yield Path(sysconfig.get_path("scripts", scheme=sysconfig.get_preferred_scheme("user"))) / NAME


def environment() -> dict[str, str]:
    """The program's environment: this one; ONNX Runtime may lie in the environment of this
    Python."""
    variables = dict(os.environ)
    in_environment = sys.prefix != sys.base_prefix
    if in_environment and not any(name in variables for name in ("VIRTUAL_ENV", "CONDA_PREFIX")):
        variables["VIRTUAL_ENV"] = sys.prefix
    return variables


def output_of(arguments: Sequence[str], says_all: bool = False) -> str:
    """What the program prints, when all goes well.

    With `says_all` what it printed is part of the error, too.

    Raises:
        AqlensError: it ends with another code than 0.
    """
    ended = ended_of(arguments)
    if ended.returncode != 0:
        raise error_of(ended.returncode, (ended.stdout if says_all else "") + ended.stderr)
    return ended.stdout


def ended_of(arguments: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """The program, run to its end: its code and what it printed."""
    return subprocess.run(
        [find_bin(), *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )


def json_of(arguments: Sequence[str]) -> Any:
    """The document that the program prints."""
    return json.loads(output_of(arguments))


def error_of(code: int, text: str) -> AqlensError:
    """The exception for an exit code and what was said on standard error."""
    if code < 0:
        message = (
            f"aqlens was ended by signal {-code}: what is done stays done, the same call continues"
        )
        return Interrupted(message + (f"\n{text.strip()}" if text.strip() else ""), code)
    kind = BY_CODE.get(code, Failed)
    message = text.strip().removeprefix("error: ") or f"aqlens ended with exit code {code}"
    return kind(message, code)
