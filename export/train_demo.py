"""Make the shipped demo model: corpus, tokenizer, training, measurement, files.

    python export/train_demo.py --out data/demo/checkpoint --seed 37

One run on one thread with one seed writes the same weights again on the same machine and
torch build. It takes most of an hour, which is why the result is shipped and never made at build
time. `data/README.md` records what came out.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"

import torch
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel
from transformers.utils.logging import disable_progress_bar

from demo import evaluate
from demo.corpus import Stage
from demo.questions import SINGLE_ANSWER
from demo.scene_file import scene_examples, write_prompt_sets
from demo.tokenizer import learn_tokenizer, save_tokenizer
from demo.train import STAGES, train

PROMPTS_PER_CELL = 1000
"""Prompts behind every reported accuracy."""
_WATCH_EVERY = 500
_WATCH_PROMPTS = 100


def main() -> None:
    """Train, measure and write everything."""
    args = _parse()
    torch.set_num_threads(1)
    disable_progress_bar()
    started = time.monotonic()
    tokenizer = learn_tokenizer(args.seed)
    _log(f"tokenizer: {tokenizer.get_vocab_size()} tokens")

    def watch(step: int, model: GPT2LMHeadModel, line: str) -> None:
        _log(line)
        if step % _WATCH_EVERY == 0:
            scores = evaluate.score_all(model, tokenizer, _WATCH_PROMPTS)
            _log("  " + " ".join(f"{kind} {cell.accuracy:.2f}" for kind, cell in scores.items()))
            if args.snapshots:
                save_checkpoint(model, tokenizer, args.snapshots)

    model, n_tokens = train(tokenizer, args.seed, _stages(args.step_scale), watch)
    minutes = (time.monotonic() - started) / 60
    save_checkpoint(model, tokenizer, args.out)
    report = measure(model, tokenizer)
    report["training"] = {
        "seed": args.seed,
        "steps": sum(stage.steps for stage in _stages(args.step_scale)),
        "tokens": n_tokens,
        "minutes": round(minutes, 1),
        "torch": torch.__version__,
    }
    report["sha256"] = {
        name: hashlib.sha256((args.out / name).read_bytes()).hexdigest()
        for name in ("model.safetensors", "tokenizer.json")
    }
    text = json.dumps(report, indent=1)
    (args.out / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    _log(text)
    if args.prompt_sets:
        write_prompt_sets(args.prompt_sets)


def measure(model: GPT2LMHeadModel, tokenizer: Tokenizer) -> dict:
    """Everything `data/README.md` reports about the model."""
    model.eval()
    files = {task: evaluate.score(model, tokenizer, e) for task, e in scene_examples().items()}
    every = PROMPTS_PER_CELL
    return {
        "unseen_pairs": evaluate.as_json(evaluate.score_all(model, tokenizer, every)),
        "seen_pairs": evaluate.as_json(evaluate.score_all(model, tokenizer, every, unseen=False)),
        "scenes_jsonl": evaluate.as_json(files),
        "by_objects": evaluate.score_by_size(model, tokenizer, SINGLE_ANSWER, every),
        "by_context": evaluate.score_every_context(model, tokenizer),
        "residual_norms": evaluate.residual_norms(model, tokenizer),
        "notebook": evaluate.notebook_answers(model, tokenizer),
    }


def save_checkpoint(model: GPT2LMHeadModel, tokenizer: Tokenizer, folder: Path) -> None:
    """Write the Hugging Face layout: config, weights, tokenizer.

    Training uses torch's fused name for GPT-2's activation; the saved config names it as
    GPT-2 does (`gelu_new`, the same formula).
    """
    folder.mkdir(parents=True, exist_ok=True)
    fused = model.config.activation_function
    model.config.activation_function = "gelu_new"
    model.save_pretrained(folder)
    model.config.activation_function = fused
    (folder / "generation_config.json").unlink(missing_ok=True)
    save_tokenizer(tokenizer, folder)


def _stages(scale: float) -> tuple[Stage, ...]:
    """The curriculum, shortened for a trial run."""
    return tuple(replace(stage, steps=round(stage.steps * scale)) for stage in STAGES)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--seed", type=int, default=37, help="seed of corpus and weights")
    parser.add_argument("--prompt-sets", type=Path, help="also write scenes.jsonl and tasks.csv")
    parser.add_argument("--snapshots", type=Path, help="folder for the state every 500 steps")
    parser.add_argument(
        "--step-scale", type=float, default=1.0, help="shorten every stage, for a trial run"
    )
    return parser.parse_args()


def _log(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


if __name__ == "__main__":
    main()
