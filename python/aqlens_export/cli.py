"""The command `aqlens-export`: makes a model folder, which `aqlens` reads, of a language model.

    aqlens-export gpt2 --out models/gpt2
    aqlens-export my-checkpoint/ --out models/mine
    aqlens-export model.gguf --out models/other
    aqlens-export --random-weights --config '{"n_layer": 4, ...}' --seed 7 \\
        --tokenizer tokenizer.json --out models/random
    aqlens-export --random-weights --family llama --config shape.json --seed 7 \\
        --tokenizer tokenizer.json --out models/random

Exit codes: 0 written and checked, 1 refused or the check failed (nothing written), 2 the command
line is wrong. Nothing that the wheel's extra `export` brings is imported before it is needed, so
that `--help` and a wrong command line are answered at once, and without it.
"""

import argparse
import sys
from importlib.util import find_spec
from pathlib import Path

from .errors import ExportError
from .options import DTYPES, ExportOptions

NEEDED = (
    "torch",
    "transformers",
    "tokenizers",
    "safetensors",
    "onnx",
    "onnxruntime",
    "numpy",
    "yaml",
)
OLDEST_PYTHON = (3, 11)


def what_is_missing() -> str | None:
    """A sentence that says what has to be installed, or None."""
    if sys.version_info < OLDEST_PYTHON:
        here = ".".join(map(str, sys.version_info[:2]))
        wanted = ".".join(map(str, OLDEST_PYTHON))
        return f"aqlens-export needs Python {wanted} or newer, and this is {here}"
    missing = [name for name in NEEDED if find_spec(name) is None]
    if not missing:
        return None
    return (
        f"aqlens-export needs {', '.join(missing)}: install them with `pip install "
        "'aqlens[export]'` (several GB, best in a virtual environment of its own)"
    )


def build_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Export a decoder-only language model to a model folder for aqlens."
    )
    add = parser.add_argument
    add(
        "model",
        metavar="MODEL",
        nargs="?",
        help="hub name, folder in Hugging Face layout, or .gguf file",
    )
    add("--out", type=Path, required=True, metavar="DIR", help="the model folder to write")
    add("--revision", metavar="R", help="the hub's branch, tag or commit")
    add("--name", help="the model's name in model.json (default: MODEL's last component)")
    add("--random-weights", action="store_true", help="random weights in place of MODEL")
    add(
        "--config",
        metavar="JSON",
        help="shape of the random model, a file or JSON itself; of a GPT-2: n_layer, n_head, "
        "n_embd, vocab_size, n_positions",
    )
    add(
        "--family",
        metavar="NAME",
        help="family of the random model, such as llama; --config is transformers' of it "
        "(default: a GPT-2)",
    )
    add("--seed", type=int, default=0, metavar="N", help="seed of the random weights")
    add("--tokenizer", type=Path, metavar="FILE", help="tokenizer.json of the random model")
    add("--save-checkpoint", type=Path, metavar="DIR", help="keep the random model for PyTorch too")
    add(
        "--dtype",
        choices=sorted(DTYPES),
        default="f32",
        help="type of weights and matrix products (default: f32; others run on CUDA only)",
    )
    add("--threads", type=int, default=0, metavar="N", help="CPU threads (default: all cores)")
    return parser


def options_from(parser: argparse.ArgumentParser, arguments: list[str] | None) -> ExportOptions:
    """Reads the command line; exits with 2 when its options contradict each other."""
    args = parser.parse_args(arguments)
    if args.random_weights:
        if args.model is not None or args.revision is not None:
            parser.error("--random-weights goes without MODEL and --revision")
        if args.config is None or args.tokenizer is None:
            parser.error("--random-weights needs --config JSON and --tokenizer FILE")
    else:
        if args.model is None:
            parser.error("name a MODEL, or give --random-weights")
        of_random = (args.config, args.family, args.tokenizer, args.save_checkpoint)
        if any(x is not None for x in of_random):
            parser.error(
                "--config, --family, --tokenizer, --save-checkpoint go with --random-weights only"
            )
    return ExportOptions(
        out=args.out,
        model=args.model,
        revision=args.revision,
        config=args.config,
        family=args.family,
        seed=args.seed,
        tokenizer=args.tokenizer,
        name=args.name,
        save_checkpoint=args.save_checkpoint,
        threads=args.threads,
        dtype=args.dtype,
    )


def main(arguments: list[str] | None = None) -> int:
    """Runs one export; returns the exit code."""
    options = options_from(build_parser(), arguments)
    problem = what_is_missing()
    if problem is not None:
        print(f"error: {problem}", file=sys.stderr)
        return 1
    from .run import export_model

    try:
        export_model(options)
    except ExportError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"error: cannot write {options.out}: {error}; nothing was written. The disk needs room "
            "for the weights twice",
            file=sys.stderr,
        )
        return 1
    return 0
