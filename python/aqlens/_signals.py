"""SIGINT and SIGTERM, which ask a driver to stop where nothing is half done."""

from __future__ import annotations

import signal
from types import FrameType


class Stopped(BaseException):
    """Somebody asked the driver to stop; no `except Exception` of Ray's may keep it."""


class Signals:
    """SIGINT and SIGTERM, which ask the driver to stop."""

    def __init__(self) -> None:
        self.asked = 0
        self.raises = True
        """Whether the first one raises where the driver is: while it starts, which takes long."""

    def listen(self) -> None:
        """From now on, whatever handles them so far."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._hear)

    def ignore(self) -> None:
        """From now on: it stops already."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)

    def look(self) -> None:
        """Raises :class:`Stopped` once one came.

        Ray's own calls are no place for an exception: a task that was submitted would be known to
        nobody. They all end soon; a second signal does not wait for that.
        """
        self.raises = False
        if self.asked:
            raise Stopped

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.asked += 1
        if self.raises or self.asked > 1:
            raise Stopped
