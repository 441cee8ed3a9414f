"""One export from end to end."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from .card import write_card
from .errors import ExportError
from .folder import FILES, refuse_unless_ours, staged, write_model_json
from .graph import build_graph, build_head
from .graphs import GRAPHS, check_graphs, write_spec, write_with
from .past import build_past
from .precise import PreciseSubject
from .probe import make_probe
from .source import Source, from_checkpoint, from_seed
from .subject import Differences, Subject, gpt2_subject


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
    source = _load(options, say)
    source.name = options.name or source.name
    say(f"          {describe(source)}")
    if options.save_checkpoint is not None:
        save_checkpoint(source, options.save_checkpoint)
    with staged(options.out) as folder:
        say(f"writing   {', '.join(GRAPHS)}, tokenizer.json")
        write_graphs(folder, source)
        (folder / "tokenizer.json").write_bytes(source.tokenizer_json)
        say("checking  ragged padded batches against PyTorch, one prompt at a time")
        subject = source.subject()
        found = check_subject(folder, subject, options.threads)
        say("probing   reference values for model.json")
        describe_folder(folder, source, subject)
    _summarise(options.out, found, subject, say)
    return found


def _load(options: ExportOptions, say: Callable[[str], None]) -> Source:
    if options.model is not None:
        return from_checkpoint(options.model, options.revision, say)
    if options.config is None or options.tokenizer is None:
        raise ExportError("--random-weights needs --config JSON and --tokenizer FILE")
    return from_seed(options.config, options.seed, options.tokenizer)


def write_graphs(folder: Path, source: Source) -> None:
    """Writes the graphs, and their weights to model.onnx.data."""
    if source.spec is not None:
        write_spec(folder, source.spec)
        return
    builders = (build_graph, build_head, build_past)
    write_with(folder, builders, source.model)


def check_folder(folder: Path, source: Source, threads: int = 0) -> Differences:
    """Holds all graphs in `folder` against PyTorch; raises ExportError where they differ."""
    return check_subject(folder, source.subject(), threads)


def check_subject(folder: Path, subject: Subject, threads: int) -> Differences:
    """As `check_folder`, for a subject that is there already and remembers what it saw."""
    found = check_graphs(folder, subject, threads)
    if isinstance(subject, PreciseSubject):
        subject.settle(found)
    return found


def describe_folder(folder: Path, source: Source, subject: Subject) -> None:
    """Writes model.json."""
    if isinstance(subject, PreciseSubject):
        write_card(folder, source, make_probe(subject, *subject.tolerances()))
    else:
        write_model_json(folder, source, make_probe(subject))


def save_checkpoint(source: Source, folder: Path) -> None:
    """Writes the model in Hugging Face layout, so that PyTorch can be run on the same weights."""
    if folder.exists() and any(folder.iterdir()):
        raise ExportError(f"--save-checkpoint {folder} is not empty: name a new folder")
    source.model.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(source.tokenizer_json)


def describe(source: Source) -> str:
    """The model's shape in one line."""
    shape = gpt2_subject(source.model).shape if source.spec is None else source.spec.shape
    parameters = sum(parameter.numel() for parameter in source.model.parameters())
    return (
        f"{shape.n_layer} layers, {shape.n_head} heads, d_model {shape.d_model}, "
        f"vocabulary {shape.vocab_size}, positions {shape.n_positions}, "
        f"{parameters / 1e6:.1f} M parameters"
    )


def _summarise(out: Path, found: Differences, subject: Subject, say: Callable[[str], None]) -> None:
    say(f"done      {out}")
    for name in FILES:
        if (out / name).exists():
            say(f"          {name:<16} {(out / name).stat().st_size:>13,} bytes")
    precise = isinstance(subject, PreciseSubject)
    of = "PyTorch in float64" if precise else "PyTorch"
    say(f"          largest differences from {of} over {found.prompts} prompts, in units of")
    say("          the vector's L2 norm, of attention absolute:")
    reported = {
        "model.onnx": {"hidden": "hidden", "logits": "logits", "attention": "attention"},
        "head.onnx": {"logits": "head"},
        "past.onnx": {"vectors and logits": "past", "attention": "past_attention"},
    }
    for graph, kinds in reported.items():
        values = (
            f"{label} {found.largest[kind]:.1e}"
            + (f" (PyTorch in float32 {subject.distance(kind):.1e})" if precise else "")
            for label, kind in kinds.items()
        )
        say(f"          {graph:<16} {', '.join(values)}")
    say(f"next      put `model: {out}` into a pipeline and run `aqlens check PIPELINE`")
