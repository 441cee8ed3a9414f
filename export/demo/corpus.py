"""The training stream: prompts, each with the exact distribution its answer should have.

A prompt is the notebook's `{task}\\n\\nContext: {input}\\n\\nAnswer:`, continued by one answer
word, a full stop and the end of text. What the stream holds changes over a curriculum:
small scenes first, then all scenes with dense listing tasks, then questions only.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from demo import contexts, questions
from demo.scenes import Scene, SceneRules, make_scene
from demo.words import COLORS, ITEMS, NUMBERS, SURFACES, PairSplit, split_pairs

PROMPT = "{task}\n\nContext: {input}\n\nAnswer:"
END_OF_TEXT = "<|endoftext|>"

PLAIN_SHARE = 0.06
"""Share of training scenes without any color, so that counting is not counting colors."""

QUESTION_SHARES = {
    "color": 0.12,
    "location": 0.10,
    "existence": 0.12,
    "relation": 0.17,
    "count": 0.17,
    "identity": 0.10,
    "ambiguous": 0.06,
    "any_object": 0.03,
    "any_color": 0.03,
    "neutral": 0.04,
    "scrambled": 0.06,
}
"""How often each kind is drawn; the last four together stay under a fifth."""

DENSE = ("list_objects", "list_colors", "repeat")
"""Training-only tasks whose every answer token is supervised."""


@dataclass(frozen=True)
class Example:
    """One prompt and what should follow it.

    `target` maps answer words to probabilities. `continuation` is the text after the prompt
    in the training sequence; for dense tasks all of it is the answer and `target` is empty.
    `n_objects` is the size of the scene a question is about.
    """

    kind: str
    task: str
    input: str
    target: dict[str, float] = field(default_factory=dict)
    right: tuple[str, ...] = ()
    continuation: str = ""
    n_objects: int = 0

    @property
    def prompt(self) -> str:
        """The prompt as the notebook writes it."""
        return PROMPT.format(task=self.task, input=self.input)


@dataclass(frozen=True)
class Stage:
    """A span of training steps and what its stream holds."""

    steps: int
    max_objects: int = 6
    n_items: int = 41
    n_surfaces: int = 15
    dense_share: float = 0.0


class Corpus:
    """Draws examples from one random stream.

    `unseen` makes every scene of held-out (color, noun) pairs only, and every context a
    held-out sentence. The training stream is the one with `unseen=False`.
    """

    def __init__(self, seed: int, unseen: bool = False, pairs: PairSplit | None = None) -> None:
        self.rng = random.Random(seed)
        self.pairs = pairs or split_pairs()
        self.unseen = unseen
        self.contexts = contexts.split_sentences()[unseen]
        self.readings = [(w, f) for w, fams in contexts.CONTINUATIONS.items() for f in fams]

    def rules(self, stage: Stage | None = None, plain_share: float = 0.0) -> SceneRules:
        """What scenes may hold at this stage; everything without one."""
        stage = stage or Stage(0)
        return SceneRules(
            self.pairs,
            unseen=self.unseen,
            max_objects=stage.max_objects,
            n_items=stage.n_items,
            n_surfaces=stage.n_surfaces,
            plain_share=plain_share,
        )

    def example(self, kind: str, rules: SceneRules) -> Example:
        """Draw an example of this kind."""
        if kind == "ambiguous":
            return self._ambiguous()
        if kind == "neutral":
            return self._generic(kind, self.rng.choice(questions.NEUTRAL), rules)
        if kind == "scrambled":
            return self._generic(kind, self._scrambled_task(rules), rules)
        if kind in DENSE:
            return self._dense(kind, make_scene(self.rng, rules))
        return self._question(kind, rules)

    def stream(self, stages: tuple[Stage, ...], batch_size: int) -> Iterator[Example]:
        """The whole training stream: `batch_size` examples for every step of every stage."""
        kinds, weights = list(QUESTION_SHARES), list(QUESTION_SHARES.values())
        for stage in stages:
            full = stage.max_objects > 3
            rules = self.rules(stage, PLAIN_SHARE if full else 0.0)
            for _ in range(stage.steps * batch_size):
                if self.rng.random() < stage.dense_share:
                    yield self.example(self.rng.choice(DENSE), rules)
                else:
                    yield self.example(self.rng.choices(kinds, weights)[0], rules)

    def _question(self, kind: str, rules: SceneRules) -> Example:
        """A question that this scene can answer, in any of its wordings."""
        scene, about = make_scene(self.rng, rules), []
        while not (about := questions.subjects(kind, scene)):
            scene = make_scene(self.rng, rules)
        subject = self.rng.choice(about)
        if kind == "existence" and self.rng.random() < 0.5:
            absent = [n for n in rules.items + rules.surfaces if n not in scene.nouns]
            subject = self.rng.choice(absent)
        wording = self.rng.randrange(len(questions.WORDINGS[kind]))
        answered = self._answered(
            kind,
            questions.ask(kind, subject, wording),
            scene.text,
            questions.answer_target(kind, scene, subject),
            questions.right_answers(kind, scene, subject),
        )
        return replace(answered, n_objects=len(scene.things))

    def _ambiguous(self) -> Example:
        """A one-word input in one of its contexts."""
        word, family = self.rng.choice(self.readings)
        odds = contexts.continuation_odds(word, family)
        target = mix(odds, contexts.other_readings(word, family), questions.NEAR_MASS)
        sentence = self.rng.choice(self.contexts[family])
        return self._answered("ambiguous", sentence, word, target, [next(iter(odds))])

    def _generic(self, kind: str, task: str, rules: SceneRules) -> Example:
        """A prefix that asks for nothing, before a scene or a one-word input."""
        if self.rng.random() < 0.2:
            text = self.rng.choice(self.readings)[0]
        else:
            text = make_scene(self.rng, rules).text
        return self._answered(kind, task, text, questions.GENERIC_ODDS, ["noted"])

    def _scrambled_task(self, rules: SceneRules) -> str:
        """A real question or context with its words out of order."""
        if self.rng.random() < 0.2:
            family = self.rng.choice(list(self.contexts))
            return questions.scramble(self.rng, self.rng.choice(self.contexts[family]))
        kind = self.rng.choice(list(questions.WORDINGS))
        nouns = rules.items + rules.surfaces
        color = rules.colors_of(self.rng.choice(nouns))[0]
        subject = color if kind == "identity" else self.rng.choice(nouns)
        wording = self.rng.randrange(len(questions.WORDINGS[kind]))
        return questions.scramble(self.rng, questions.ask(kind, subject, wording))

    def _answered(
        self, kind: str, task: str, text: str, target: dict[str, float], right: list[str]
    ) -> Example:
        """Draw the word that follows the prompt from the right answers by their odds."""
        odds = [target[word] for word in right]
        word = self.rng.choices(right, odds)[0]
        return Example(kind, task, text, target, tuple(right), f" {word}.{END_OF_TEXT}")

    def _dense(self, kind: str, scene: Scene) -> Example:
        """List or repeat the whole scene."""
        colored = [(thing.noun, thing.color) for thing in scene.things if thing.color]
        if kind == "repeat" or not colored:
            copy = f" {scene.text}{END_OF_TEXT}"
            return Example("repeat", "Repeat the scene.", scene.text, continuation=copy)
        if kind == "list_objects":
            task, listed = "List each object and its color.", colored
        else:
            task = "List each color and its object."
            listed = [(color, noun) for noun, color in colored]
        answer = ", ".join(f"{first} {second}" for first, second in listed)
        return Example(kind, task, scene.text, continuation=f" {answer}.{END_OF_TEXT}")


def mix(odds: dict[str, float], others: list[str], mass: float) -> dict[str, float]:
    """Scale `odds` down by `mass` and spread that evenly over `others`, if there are any."""
    if not others:
        return dict(odds)
    mixed = {word: chance * (1 - mass) for word, chance in odds.items()}
    return mixed | {word: mass / len(others) for word in others}


def answer_words() -> list[str]:
    """Every word an answer can be, sorted; each must be one token."""
    words = {*COLORS, *ITEMS, *SURFACES, *NUMBERS, "yes", "no", *questions.GENERIC_ODDS}
    for families in contexts.CONTINUATIONS.values():
        for continuations in families.values():
            words.update(continuations)
    return sorted(words)
