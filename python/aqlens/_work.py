"""What a worker of an engine does on its machine: run the program to its end, and say how it ended.

Only the standard library is used, so that an engine may send these functions to machines by value.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

#: Seconds that the program has to stop when it is asked to; it promises 10.
STOP = 20.0


@dataclass
class Told:
    """What a log in JSON says."""

    end: dict[str, Any] | None = None
    """The last event; None where the process was killed before it."""
    done: list[int] = field(default_factory=list)
    """Shards that it finished."""
    open: list[int] = field(default_factory=list)
    """Shards that it had begun and not finished."""


def told(path: str) -> Told:
    """Reads the log of a process, whole or cut off."""
    found = Told()
    try:
        with open(path, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                with contextlib.suppress(ValueError):
                    _hear(json.loads(line), found)
    except FileNotFoundError:
        pass
    return found


def _hear(event: Any, found: Told) -> None:
    if not isinstance(event, dict):
        return
    kind, shard = event.get("event"), event.get("shard")
    if kind == "started" and isinstance(shard, int) and shard not in (*found.open, *found.done):
        found.open.append(shard)
    elif kind == "shard" and isinstance(shard, int):
        found.done.append(shard)
        found.open = [one for one in found.open if one != shard]
    elif kind == "end":
        found.end = event


def program() -> str | None:
    """The program `aqlens` here: what AQLENS names, else this environment's, else that of PATH."""
    named = os.environ.get("AQLENS")
    here = os.path.join(sysconfig.get_path("scripts"), "aqlens")
    places = [named, here, shutil.which("aqlens")]
    return next((place for place in places if place and os.path.isfile(place)), None)


def work(words: Sequence[str], log: str, folder: str) -> dict[str, Any]:
    """Runs `aqlens WORDS` in `folder` with its log in the file `log`, and stops it when this
    process is interrupted. With the process gone the program ends too, whatever ended it.

    Returns ``code`` (negative: ended by that signal), ``text`` (what was said at the end), ``out``
    (standard output), ``host``, and ``end``, ``open`` and ``done`` as in :class:`Told`.
    """
    host = socket.gethostname()
    binary = program()
    if binary is None or not os.path.isdir(folder):
        what = (
            f"there is no folder {folder}"
            if binary
            else "there is no program aqlens: install the package there, or name it in AQLENS"
        )
        said = f"on {host} {what}"
        return {
            "code": 2,
            "text": said,
            "out": "",
            "host": host,
            "end": None,
            "open": [],
            "done": [],
        }
    environment = dict(os.environ)
    if sys.prefix != sys.base_prefix and not {"VIRTUAL_ENV", "CONDA_PREFIX"} & set(environment):
        environment["VIRTUAL_ENV"] = sys.prefix
    command = [binary, *words, "--log", "json"]
    if sys.platform == "linux":
        # The thread that starts a process counts as its parent; tasks run in the first one.
        command.append(f"--with-parent={os.getpid()}")
    with (
        open(log, "w", encoding="utf-8") as errors,
        open(f"{log}.out", "w+", encoding="utf-8") as out,
    ):
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=errors,
        )
        try:
            while process.poll() is None:
                time.sleep(0.05)
        except BaseException:  # The engine cancels a task by an interrupt.
            _stop(process)
            raise
        out.seek(0)
        printed = out.read()
    os.remove(f"{log}.out")
    heard = told(log)
    text = (heard.end or {}).get("error") or _last_words(log) or f"ended with {process.returncode}"
    return {
        **{"code": process.returncode, "text": str(text), "out": printed, "host": host},
        **{"end": heard.end, "open": heard.open, "done": heard.done},
    }


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    until = time.monotonic() + STOP
    while process.poll() is None:
        if time.monotonic() > until:
            process.kill()
        with contextlib.suppress(KeyboardInterrupt):  # Somebody who asks again.
            time.sleep(0.05)


def _last_words(log: str) -> str:
    """The end of a log that is not JSON, as where the command itself was refused."""
    with open(log, encoding="utf-8", errors="replace") as lines:
        return "".join(line for line in lines if not line.startswith("{"))[-2000:].strip()
