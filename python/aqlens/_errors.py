"""What can go wrong, as exceptions that carry what the program said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that keeps a pipeline from running.

    ``at`` is the field of the pipeline file, as in ``stages[0].layers``, or None where the problem
    is in none.
    """

    message: str
    at: str | None = None
    help: str | None = None

    def __str__(self) -> str:
        place = f"{self.at}: " if self.at else ""
        way_out = f"\n  {self.help}" if self.help else ""
        return f"{place}{self.message}{way_out}"


class AqlensError(Exception):
    """Something went wrong.

    ``exit_code`` is the program's (None when it was not the program that failed), ``problems`` are
    all things that it complained about, the first one first.
    """

    def __init__(
        self, message: str, exit_code: int | None = None, problems: Sequence[Problem] = ()
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.problems = tuple(problems)


class WrongPipeline(AqlensError):
    """The pipeline or the command is wrong and nothing was run (exit code 2)."""


class Failed(AqlensError):
    """The work failed; the message says why and what to do (exit code 1)."""


class Later(Failed):
    """Not now: the folder is in use, or the system has no room; the same call may do it later (exit
    code 75)."""


class Interrupted(AqlensError):
    """The program was asked to stop; the same call again continues (exit code 130, or a signal)."""


class BrokenError(AqlensError):
    """A mistake in aqlens itself (exit code 101)."""


class NoProgram(AqlensError, FileNotFoundError):
    """The program `aqlens` is not where it is looked for."""


class NoRun(AqlensError, FileNotFoundError):
    """The folder holds no run."""


class NotInRun(AqlensError, KeyError):
    """The run has no such table, summary or report, or does not keep it."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would print its repr.


class DamagedRun(AqlensError):
    """A file of the run is not what aqlens wrote."""


class NoReader(AqlensError, ImportError):
    """A package that reads tables is not installed."""
