"""Scenarios drawn from pools of wordings and from scenes, where the truth is known.

Each has a name, inputs and wordings of its own, so that many draws share a pipeline without sharing
anything else. A draw follows from the seed and its name alone.
"""

import json
import random
from functools import cache

from pools import POOLS
from program import ROOT

INPUTS = 20
DESIGNS = {"2x4": (2, 4), "3x3": (3, 3), "5x2": (5, 2)}
"""Tasks and wordings each."""
WORDINGS = (3, 4, 6)
EFFECTS = {"color-location": ("color", "location"), "relation-existence": ("relation", "existence")}
# Of the run that the truth comes from: so many scenarios of so many scenes each, all scenes once.
BLOCKS = 12


@cache
def scenes() -> dict[str, str]:
    """The 300 scenes: id and text."""
    rows = map(json.loads, (ROOT / "data/scenes.jsonl").read_text(encoding="utf-8").splitlines())
    return {row["id"]: row["text"] for row in rows}


def null(design: str, number: int, seed: int, inputs: int = INPUTS) -> dict:
    """Wordings of one pool dealt at random into tasks: no task differs from another but by chance.

    Odd numbers ask for the color, even ones for the place.
    """
    rng = random.Random(f"{seed} null {design} {number}")
    n_tasks, each = DESIGNS[design]
    pool = POOLS["color" if number % 2 else "location"]
    dealt = rng.sample(pool, n_tasks * each)
    tasks = {f"task-{task}": dealt[task * each : (task + 1) * each] for task in range(n_tasks)}
    return _scenario(f"null-{design}-{number:03}", rng, tasks, inputs)


def known(effect: str, wordings: int, number: int, seed: int, inputs: int = INPUTS) -> dict:
    """So many wordings of each of two questions."""
    rng = random.Random(f"{seed} known {effect} {wordings} {number}")
    tasks = {task: rng.sample(POOLS[task], wordings) for task in EFFECTS[effect]}
    return _scenario(f"known-{effect}-{wordings}-{number:03}", rng, tasks, inputs)


def truth(effect: str, seed: int, per_block: int | None = None) -> list[dict]:
    """All wordings of both questions on all scenes, a part of the scenes in each scenario.

    Parts, because vectors are standardised by a sample of the scenario's own prompts: the truth is a mean
    over such samples, as what a user measures is one.
    """
    rng = random.Random(f"{seed} truth {effect}")
    all_scenes = list(scenes().items())
    rng.shuffle(all_scenes)
    size = per_block or len(all_scenes) // BLOCKS
    blocks = []
    for block in range(BLOCKS):
        tasks = {task: POOLS[task] for task in EFFECTS[effect]}
        inputs = dict(all_scenes[block * size : (block + 1) * size])
        blocks.append(_written(f"truth-{effect}-{block:02}", inputs, tasks))
    return blocks


def _scenario(name: str, rng: random.Random, tasks: dict[str, list[str]], inputs: int) -> dict:
    return _written(name, dict(rng.sample(sorted(scenes().items()), inputs)), tasks)


def _written(name: str, inputs: dict[str, str], tasks: dict[str, list[str]]) -> dict:
    wordings = {task: {"wordings": texts} for task, texts in tasks.items()}
    return {"name": name, "inputs": inputs, "tasks": wordings, "controls": {"other_input": True}}


MEASURED = [
    {"kind": kind}
    for kind in ("extract", "reference", "alignment", "similarity", "divergence", "contrast", "outputs")
]


def stages(summary: dict | None = None, effect: dict | None = None) -> list[dict]:
    """What a study runs, with the stages that the verdict rests on and their default settings."""
    return [*MEASURED, {"kind": "effect", **(effect or {})}, {"kind": "summary", **(summary or {})}]
