"""The program's log of a run, one JSON object a line, followed as it comes."""

from __future__ import annotations

import importlib.util
import json
import logging
import warnings
from types import TracebackType
from typing import Any

LOGGER = logging.getLogger("aqlens")


class Log:
    """Hears the log: a bar of prompts with `tqdm` (in a terminal or a notebook), notes to the
    logger ``aqlens``, and how it ended."""

    def __init__(self, shows_bar: bool) -> None:
        self.exit_code = 1
        self.error = ""
        self.run_dir = ""
        self._others: list[str] = []
        self._shows_bar = shows_bar and importlib.util.find_spec("tqdm") is not None
        self._bar: Any = None

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def hear(self, line: str) -> None:
        """One line of standard error."""
        try:
            event = json.loads(line)
            kind = event["event"]
        except (ValueError, TypeError, KeyError):
            # ONNX Runtime and the system have words of their own.
            self._others.append(line)
            return
        if kind == "run":
            self._begin(event)
        elif kind == "shard" and self._bar is not None:
            self._bar.update(event["prompts"])
        elif kind == "started" and self._bar is not None:
            self._bar.set_postfix_str(event["stage"])
        elif kind in ("note", "skipped", "waiting"):
            self._tell(kind, event)
        elif kind == "end":
            self.error = event["error"] or ""
            self.run_dir = event.get("run_dir", "")

    def ended(self, code: int) -> None:
        """The program's exit code, when all was heard."""
        self.exit_code = code
        if code not in (0, 3) and not self.error:
            self.error = "".join(self._others)

    def _begin(self, event: dict[str, Any]) -> None:
        if not self._shows_bar:
            return
        with warnings.catch_warnings():
            # Without ipywidgets a notebook gets a bar of text, and need not be asked to install
            # them.
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

            self._bar = tqdm(total=event["prompts"], unit="prompt", desc="aqlens", leave=False)

    def _tell(self, kind: str, event: dict[str, Any]) -> None:
        if kind == "note":
            text = event["text"]
            level = logging.WARNING if text.startswith("warning: ") else logging.INFO
            LOGGER.log(level, "%s", text.removeprefix("warning: "))
        elif kind == "skipped":
            names = (event[name] for name in ("scenario", "input", "task", "wording"))
            key = "/".join(str(name) for name in names)
            LOGGER.warning("skipped %s: %s", key, event["reason"])
        else:
            where = "the beginning" if event["shard"] is None else f"shard {event['shard'] + 1}"
            LOGGER.info("waiting for %s, which is with %s", where, event["holder"])
