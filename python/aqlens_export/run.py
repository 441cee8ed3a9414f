"""One export from end to end."""

from collections.abc import Callable
from pathlib import Path

import torch

from .accuracy import MEASURED, Accuracy, exact_runs, measure
from .card import write_card
from .dtypes import NAMES, round_weights
from .errors import ExportError
from .folder import FILES, refuse_unless_ours, staged, write_model_json
from .graph import build_graph, build_head
from .graphs import GRAPHS, check_graphs, write_spec, write_with
from .options import ExportOptions
from .past import build_past
from .patch import build_patch
from .precise import PreciseSubject
from .probe import make_probe, probe_prompts
from .read import read_spec
from .source import Source, from_checkpoint, from_seed
from .subject import Differences, Subject, gpt2_subject


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
        narrow = Narrow(source, options.dtype, say) if options.dtype != "f32" else None
        say(f"writing   {', '.join(GRAPHS)}, tokenizer.json")
        write_graphs(folder, source, options.dtype)
        (folder / "tokenizer.json").write_bytes(source.tokenizer_json)
        say("checking  ragged padded batches against PyTorch, one prompt at a time")
        subject = source.subject()
        if isinstance(subject, PreciseSubject):
            source.spec = source.spec.without_weights()
            subject.park(folder)
        found = check_subject(folder, subject, options.threads, options.dtype)
        accuracy = narrow and narrow.measured(folder, subject)
        say("probing   reference values for model.json")
        describe_folder(folder, source, subject, accuracy)
    _summarise(options.out, found, subject, say)
    if accuracy:
        say_accuracy(accuracy, say)
    return found


class Narrow:
    """An export in float16 or bfloat16: keeps the exact numbers, then rounds the weights."""

    def __init__(self, source: Source, dtype: str, say: Callable[[str], None]):
        say(f"rounding  weights to {NAMES[dtype]}")
        subject = source.subject()
        self.dtype, self.prompts = dtype, probe_prompts(subject.shape) + subject.texts
        self.exact = exact_runs(subject, self.prompts)
        round_weights(source.model, dtype)
        # Some of its tensors are made of weights.
        source.spec = read_spec(source.model)

    def measured(self, folder: Path, subject: Subject) -> Accuracy:
        """What the type costs."""
        return measure(folder, subject, self.prompts, self.exact, self.dtype)


def _load(options: ExportOptions, say: Callable[[str], None]) -> Source:
    if options.model is not None:
        return from_checkpoint(options.model, options.revision, say, options.dtype)
    if options.config is None or options.tokenizer is None:
        raise ExportError("--random-weights needs --config JSON and --tokenizer FILE")
    rest = (options.tokenizer, options.family, say, options.dtype)
    return from_seed(options.config, options.seed, *rest)


def write_graphs(folder: Path, source: Source, dtype: str = "f32") -> None:
    """Writes the graphs, and their weights to model.onnx.data."""
    if source.spec is not None:
        write_spec(folder, source.spec, dtype)
        return
    builders = (build_graph, build_head, build_past, build_patch)
    write_with(folder, builders, source.model)


def check_folder(folder: Path, source: Source, threads: int = 0) -> Differences:
    """Holds all graphs in `folder` against PyTorch; raises ExportError where they differ."""
    return check_subject(folder, source.subject(), threads)


def check_subject(folder: Path, subject: Subject, threads: int, dtype: str = "f32") -> Differences:
    """As `check_folder`, for a subject that is there already and remembers what it saw."""
    found = check_graphs(folder, subject, threads, dtype)
    if isinstance(subject, PreciseSubject):
        subject.settle(found)
    return found


def describe_folder(
    folder: Path, source: Source, subject: Subject, accuracy: Accuracy | None = None
) -> None:
    """Writes model.json; `accuracy` of graphs that are not float32."""
    if isinstance(subject, PreciseSubject):
        if accuracy is None:
            probe = make_probe(subject, *subject.tolerances())
        else:
            calm = accuracy.calm()
            probe = make_probe(subject, calm.relative, calm.attention, calm)
            calm.refuse_few(probe, subject.shape.n_layer, NAMES[accuracy.dtype])
        write_card(folder, source, probe, accuracy)
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
        "  elsewhere": {"vectors and logits": "elsewhere", "attention": "elsewhere_attention"},
        "patch.onnx": {"logits": "patch"},
    }
    for graph, kinds in reported.items():
        values = (
            f"{label} {found.largest[kind]:.1e}"
            + (f" (PyTorch in float32 {subject.distance(kind):.1e})" if precise else "")
            for label, kind in kinds.items()
        )
        say(f"          {graph:<16} {', '.join(values)}")
    if singles := getattr(found, "singles", None):
        value, where = max(singles.values())
        say(f"          single tokens    {value:.1e}: {where}")
    say(f"next      put `model: {out}` into a pipeline and run `aqlens check PIPELINE`")


def say_accuracy(accuracy: Accuracy, say: Callable[[str], None]) -> None:
    """What the type costs, in lines."""
    kind = NAMES[accuracy.dtype]
    say(f"          the same in {kind}, {accuracy.prompts} prompts, before weights were rounded:")
    for of, found in (("PyTorch", accuracy.pytorch), ("model.onnx", accuracy.graph)):
        shown = ", ".join(f"{name} {found.largest[name]:.1e}" for name in MEASURED)
        say(f"          {of:<16} {shown}")
    say(f"note      aqlens runs a folder of {kind} with `provider: cuda` only")
