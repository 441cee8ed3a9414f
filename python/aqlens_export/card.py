"""model.json of format 3: every family but GPT-2, and GPT-2 in another type than float32."""

import re
from pathlib import Path

from .accuracy import Accuracy
from .errors import ExportError
from .folder import FILES, exporter_versions, readable_json, seal_of
from .source import Source
from .tokens import Tokens

FORMAT = 3

ROLES = {
    "model.onnx": "graph",
    "head.onnx": "head",
    "past.onnx": "past",
    "patch.onnx": "patch",
    "model.onnx.data": "weights",
    "tokenizer.json": "tokenizer",
}

FAMILY = re.compile(r"[a-z0-9_.-]{1,64}")


def write_card(folder: Path, source: Source, probe: dict, accuracy: Accuracy | None = None) -> None:
    """Writes `folder`/model.json for the files that already lie there; `accuracy`: of graphs that
    are not float32."""
    spec, tokens = source.spec, source.tokens
    if not FAMILY.fullmatch(spec.family):
        raise ExportError(f"the family {spec.family!r} has a name that aqlens cannot write down")
    shape = spec.shape
    described = {
        "format": FORMAT,
        "family": spec.family,
        "n_layer": shape.n_layer,
        "n_head": shape.n_head,
        "n_kv_head": shape.n_kv_head,
        "d_head": shape.d_head,
        "d_model": shape.d_model,
        "d_ff": shape.d_ff,
        "vocab_size": shape.vocab_size,
        "n_positions": shape.n_positions,
        "windows": shape.windows,
        "positions": shape.positions,
        "dtype": accuracy.dtype if accuracy else "f32",
        **({"accuracy": accuracy.described()} if accuracy else {}),
        "special_tokens": {
            "prefix_ids": tokens.prefix_ids,
            "suffix_ids": tokens.suffix_ids,
            "named": tokens.named,
        },
        "chat_template": tokens.chat.template,
        "licence": source.licence,
        "source": {
            "name": source.name,
            "revision": source.revision,
            "random_seed": source.random_seed,
        },
        "files": {
            name: {**seal_of(folder / name), "role": ROLES[name]}
            for name in FILES
            if name in ROLES and (folder / name).exists()
        },
        "exporter": exporter_versions(),
        "probe": {**probe, **_tokens(tokens)},
    }
    (folder / "model.json").write_text(readable_json(described) + "\n", encoding="utf-8")


def _tokens(tokens: Tokens) -> dict:
    """What the reader's tokenizer and template must give."""
    rows = {"texts": tokens.texts}
    if tokens.chat.conversations:
        rows["conversations"] = tokens.chat.conversations
    return rows
