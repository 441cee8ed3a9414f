"""One export from end to end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .check import Differences, check_export, check_head
from .check_past import check_past
from .errors import ExportError
from .folder import FILES, GRAPHS, refuse_unless_ours, staged, write_model_json
from .graph import build_graph, build_head
from .past import build_past
from .probe import make_probe
from .source import Source, from_checkpoint, from_seed
from .weights import Weights


@dataclass
class ExportOptions:
    """What the command line says (`../export.py` documents each)."""

    out: Path
    model: str | None = None
    revision: str | None = None
    config: str | None = None
    seed: int = 0
    tokenizer: Path | None = None
    name: str | None = None
    save_checkpoint: Path | None = None
    threads: int = 0


def export_model(options: ExportOptions, say: Callable[[str], None] = print) -> Differences:
    """Writes the model folder `options.out`; returns the largest differences from PyTorch.

    Raises ExportError, and leaves `options.out` as it was, when the checkpoint cannot be
    exported or the graph does not compute what PyTorch computes.
    """
    if options.threads:
        torch.set_num_threads(options.threads)
    refuse_unless_ours(options.out, options.model)
    say(f"loading   {options.model or 'random weights, seed ' + str(options.seed)}")
    source = _load(options)
    source.name = options.name or source.name
    say(f"          {describe(source)}")
    if options.save_checkpoint is not None:
        save_checkpoint(source, options.save_checkpoint)
    with staged(options.out) as folder:
        say(f"writing   {', '.join(GRAPHS)}, tokenizer.json")
        write_graphs(folder, source)
        (folder / "tokenizer.json").write_bytes(source.tokenizer_json)
        say("checking  ragged padded batches against PyTorch, one prompt at a time")
        found = check_folder(folder, source, options.threads)
        say("probing   reference values for model.json")
        write_model_json(folder, source, make_probe(source.model))
    _summarise(options.out, found, say)
    return found


def _load(options: ExportOptions) -> Source:
    if options.model is not None:
        return from_checkpoint(options.model, options.revision)
    if options.config is None or options.tokenizer is None:
        raise ExportError("--random-weights needs --config JSON and --tokenizer FILE")
    return from_seed(options.config, options.seed, options.tokenizer)


def write_graphs(folder: Path, source: Source) -> None:
    """Writes the graphs, and their weights to model.onnx.data."""
    weights = Weights(folder)
    try:
        builders = (build_graph, build_head, build_past)
        for name, build in zip(GRAPHS, builders, strict=True):
            graph = build(source.model, weights)
            (folder / name).write_bytes(graph.SerializeToString(deterministic=True))
    finally:
        weights.close()


def check_folder(folder: Path, source: Source, threads: int = 0) -> Differences:
    """Holds all graphs in `folder` against PyTorch; raises ExportError where they differ."""
    found = check_export(folder / "model.onnx", source.model, threads)
    check_head(folder / "head.onnx", source.model, found, threads)
    check_past(folder / "past.onnx", source.model, found, threads)
    return found


def save_checkpoint(source: Source, folder: Path) -> None:
    """Writes the model in Hugging Face layout, so that PyTorch can be run on the same weights."""
    if folder.exists() and any(folder.iterdir()):
        raise ExportError(f"--save-checkpoint {folder} is not empty: name a new folder")
    source.model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(source.tokenizer_json)


def describe(source: Source) -> str:
    """The model's shape in one line."""
    config = source.model.config
    parameters = sum(parameter.numel() for parameter in source.model.parameters())
    return (
        f"{config.n_layer} layers, {config.n_head} heads, d_model {config.n_embd}, "
        f"vocabulary {config.vocab_size}, positions {config.n_positions}, "
        f"{parameters / 1e6:.1f} M parameters"
    )


def _summarise(out: Path, found: Differences, say: Callable[[str], None]) -> None:
    say(f"done      {out}")
    for name in FILES:
        if (out / name).exists():
            say(f"          {name:<16} {(out / name).stat().st_size:>13,} bytes")
    say(f"          largest differences from PyTorch over {found.prompts} prompts, in units of")
    say("          the vector's L2 norm, of attention absolute:")
    reported = {
        "model.onnx": {"hidden": "hidden", "logits": "logits", "attention": "attention"},
        "head.onnx": {"logits": "head"},
        "past.onnx": {"vectors and logits": "past", "attention": "past_attention"},
    }
    for graph, kinds in reported.items():
        values = (f"{label} {found.largest[kind]:.1e}" for label, kind in kinds.items())
        say(f"          {graph:<16} {', '.join(values)}")
    say(f"next      put `model: {out}` into a pipeline and run `aqlens check PIPELINE`")
