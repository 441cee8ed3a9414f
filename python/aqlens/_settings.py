"""Settings of a pipeline as `--set KEY=VALUE`."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any


def arguments(settings: Mapping[str, Any] | None, keywords: Mapping[str, Any]) -> list[str]:
    """The `--set` arguments of a mapping and of keywords, in which ``__`` stands for a step down.

    Mappings are gone down into, so ``{"stages": {"tokens": {"top_k": 7}}}`` and
    ``stages__tokens__top_k=7`` are the same; a key with a ``.`` in it is a whole path, whose value
    is set as it is, mapping or not.
    """
    found: list[str] = []
    for key, value in (settings or {}).items():
        found += _flat(key, value)
    for key, value in keywords.items():
        found += _flat(key.replace("__", "."), value, is_whole=False)
    return [word for setting in found for word in ("--set", setting)]


def _flat(key: str, value: Any, is_whole: bool | None = None) -> Iterator[str]:
    if is_whole is None:
        is_whole = "." in key
    if isinstance(value, Mapping) and not is_whole:
        for inner, of_inner in value.items():
            yield from _flat(f"{key}.{inner}", of_inner, is_whole=False)
        return
    # JSON is YAML; its escapes of characters beyond 16 bits are not.
    text = json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False)
    yield f"{key}={text}"


def _plain(value: Any) -> Any:
    """What JSON has no word for: paths, numbers and arrays of NumPy."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a setting cannot be {type(value).__name__}: {value!r}")
