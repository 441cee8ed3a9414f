"""The shipped prompt sets: `data/scenes.jsonl` and `data/tasks.csv`.

Every scene holds a ball that has a color, lies on something and is next to something, so
all five tasks of the notebook have a right answer. The ball always wears a color that it
never wears in training; in two scenes of three the same holds for every other object.
"""

from __future__ import annotations

import csv
import json
import random
from pathlib import Path

from demo.corpus import Example
from demo.evaluate import NOTEBOOK_INPUT, NOTEBOOK_TASKS
from demo.questions import answer_target, right_answers
from demo.scenes import MAX_OBJECTS, Scene, SceneRules, make_scene_about
from demo.words import split_pairs

N_SCENES = 300
SUBJECT = "ball"
_SEED = "scenes 1"
_SMALLEST = 3
"""A ball, what it lies on and what it is next to."""


def held_out_scenes() -> list[Scene]:
    """The scenes of `data/scenes.jsonl`, all different and none the notebook's."""
    rng, pairs = random.Random(_SEED), split_pairs()
    scenes: dict[str, Scene] = {}
    while len(scenes) < N_SCENES:
        all_unseen = len(scenes) % 3 != 2
        rules = SceneRules(pairs, unseen=all_unseen)
        color = rng.choice(pairs.unseen[SUBJECT])
        size = _SMALLEST + len(scenes) % (MAX_OBJECTS - _SMALLEST + 1)
        scene = make_scene_about(rng, rules, SUBJECT, color, size)
        if scene.text != NOTEBOOK_INPUT:
            scenes.setdefault(scene.text, scene)
    return list(scenes.values())


def scene_rows() -> list[dict[str, str | int]]:
    """One row per scene: id, text, the right answer of each task, and how much is unseen."""
    pairs = split_pairs()
    rows = []
    for number, scene in enumerate(held_out_scenes(), start=1):
        row: dict[str, str | int] = {"id": f"scene-{number:04}", "text": scene.text}
        for task in NOTEBOOK_TASKS:
            row[task] = right_answers(task, scene, SUBJECT)[0]
        row["objects"] = len(scene.things)
        row["unseen_pairs"] = sum(pairs.is_unseen(t.color, t.noun) for t in scene.things)
        rows.append(row)
    return rows


def scene_examples() -> dict[str, list[Example]]:
    """The notebook's tasks over every shipped scene, as examples to score."""
    found: dict[str, list[Example]] = {task: [] for task in NOTEBOOK_TASKS}
    for scene in held_out_scenes():
        for task, question in NOTEBOOK_TASKS.items():
            target = answer_target(task, scene, SUBJECT)
            right = tuple(right_answers(task, scene, SUBJECT))
            found[task].append(
                Example(task, question, scene.text, target, right, n_objects=len(scene.things))
            )
    return found


def write_prompt_sets(folder: Path) -> None:
    """Write `scenes.jsonl` and `tasks.csv` into `folder`."""
    lines = [json.dumps(row) + "\n" for row in scene_rows()]
    (folder / "scenes.jsonl").write_text("".join(lines), encoding="utf-8")
    with (folder / "tasks.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["task", "question"])
        writer.writerows(NOTEBOOK_TASKS.items())
