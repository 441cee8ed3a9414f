"""One-word inputs that mean different things in different contexts (`Fire!`).

A context is a family of sentences made from slots. Each word has, per family, two or three
likely continuations with fixed probabilities. About an eighth of the sentences of every
family is held out of training, the notebook's four always among them.
"""

from __future__ import annotations

import itertools
import zlib

CONTINUATION_ODDS = {2: (0.7, 0.3), 3: (0.6, 0.3, 0.1)}
"""Probabilities of a word's continuations, most likely first, by how many there are."""

FAMILIES: dict[str, tuple[str, ...]] = {
    "emergency": (
        "You are in a", "crowded|busy|dark|full", "building.|theater.|school.|hall.|shop.",
        "Someone|A man|A woman|A child", "shouts:|yells:|screams:|cries:",
    ),
    "military": (
        "You are a", "soldier|guard|gunner|scout", "with", "weapon|rifle|gun|cannon",
        "ready.|loaded.|raised.", "The", "commander|officer|captain|sergeant",
        "says:|shouts:|orders:",
    ),
    "campfire": (
        "You are", "camping|hiking|outdoors|in the forest", "and",
        "someone|a friend|a scout|your guide", "points at", "wood|logs|sticks|twigs",
        "saying:|and says:",
    ),
    "pottery": (
        "You are in a", "pottery|clay|ceramics|craft", "studio.|class.|workshop.", "The",
        "instructor|teacher|potter|artist", "says:|explains:|tells you:",
    ),
    "office": (
        "You are at", "the office.|a meeting.|work.|your desk.", "The|Your",
        "boss|manager|director|owner", "says:|writes:|tells you:",
    ),
    "baseball": (
        "You are", "watching|playing|at", "a baseball", "game.|match.|practice.", "The",
        "umpire|coach|player|catcher", "calls:|shouts:|says:",
    ),
    "kitchen": (
        "You are in a", "kitchen.|restaurant.|bakery.", "The", "cook|chef|baker|waiter",
        "points at a", "pan|pot|jar|dish", "saying:|and says:",
    ),
    "music": (
        "You are at a", "loud|big|small", "concert.|club.|festival.|rehearsal.", "The",
        "singer|drummer|band|pianist", "calls:|shouts:|says:",
    ),
    "lake": (
        "You are walking by a", "lake.|river.|pond.|stream.", "Your|A",
        "friend|sister|brother|neighbor", "points and says:|looks up and says:|whispers:",
    ),
    "garden": (
        "You are in a", "large|small|quiet", "garden.|park.|orchard.|greenhouse.", "The",
        "gardener|farmer|botanist|owner", "says:|explains:|points and says:",
    ),
    "bank": (
        "You are in a", "bank.|market.|store.", "The", "teller|cashier|clerk|seller",
        "behind the|at the", "counter|desk|window", "says:|asks:|explains:",
    ),
    "photo": (
        "You are at a", "photo|film|fashion", "studio.|session.|set.", "The",
        "photographer|director|model|assistant", "says:|calls:|asks:",
    ),
}  # fmt: skip

CONTINUATIONS: dict[str, dict[str, tuple[str, ...]]] = {
    "Fire!": {
        "emergency": ("run", "leave", "help"),
        "military": ("shoot", "attack", "aim"),
        "campfire": ("burn", "warm", "cook"),
        "pottery": ("kiln", "bake", "heat"),
        "office": ("dismiss", "leave"),
    },
    "Duck!": {
        "emergency": ("crouch", "hide", "drop"),
        "military": ("crouch", "cover"),
        "lake": ("bird", "swim", "feather"),
        "kitchen": ("roast", "meat", "cook"),
    },
    "Strike!": {
        "baseball": ("miss", "swing", "out"),
        "military": ("attack", "hit"),
        "office": ("protest", "march", "stop"),
        "campfire": ("spark", "flame"),
    },
    "Match!": {
        "campfire": ("flame", "spark", "stick"),
        "baseball": ("game", "play", "score"),
        "photo": ("pair", "same"),
    },
    "Shoot!": {
        "military": ("aim", "attack", "gun"),
        "photo": ("click", "smile", "pose"),
        "garden": ("sprout", "plant", "leaf"),
        "office": ("talk", "ask"),
    },
    "Bat!": {
        "baseball": ("swing", "hit", "wood"),
        "lake": ("wings", "fly", "night"),
        "emergency": ("hide", "run"),
    },
    "Bank!": {
        "lake": ("shore", "mud", "water"),
        "bank": ("money", "loan", "vault"),
        "office": ("loan", "money"),
    },
    "Bark!": {
        "lake": ("dog", "woof"),
        "garden": ("tree", "wood", "trunk"),
        "campfire": ("wood", "burn", "tree"),
    },
    "Light!": {
        "campfire": ("flame", "burn"),
        "photo": ("lamp", "bright", "flash"),
        "emergency": ("lamp", "look"),
        "garden": ("sun", "grow", "bright"),
    },
    "Rock!": {
        "music": ("guitar", "dance", "loud"),
        "lake": ("stone", "water"),
        "emergency": ("drop", "crouch"),
    },
    "Jam!": {
        "kitchen": ("fruit", "bread", "sweet"),
        "music": ("play", "guitar", "dance"),
        "office": ("paper", "stop"),
    },
    "Pitch!": {
        "baseball": ("throw", "swing", "ball"),
        "music": ("note", "tune", "high"),
        "campfire": ("tent", "camp"),
        "office": ("sell", "talk", "idea"),
    },
    "Press!": {
        "photo": ("click", "news"),
        "office": ("news", "paper", "print"),
        "pottery": ("clay", "push", "shape"),
    },
    "Charge!": {
        "military": ("attack", "run", "march"),
        "bank": ("pay", "money", "card"),
        "office": ("plug", "power"),
    },
    "Roll!": {
        "photo": ("film", "action", "start"),
        "kitchen": ("bread", "dough", "bake"),
        "music": ("drum", "beat"),
    },
    "Bill!": {
        "bank": ("money", "pay"),
        "lake": ("beak", "bird"),
        "kitchen": ("pay", "card"),
    },
    "Plant!": {
        "garden": ("grow", "leaf", "seed"),
        "military": ("bomb", "spy"),
        "office": ("factory", "work"),
    },
    "Note!": {
        "music": ("tune", "sing", "high"),
        "bank": ("cash", "money"),
        "office": ("write", "paper", "read"),
    },
}

NOTEBOOK_CONTEXTS = {
    "emergency": "You are in a crowded building. Someone shouts:",
    "military": "You are a soldier with weapon ready. The commander says:",
    "campfire": "You are camping and someone points at wood saying:",
    "pottery": "You are in a pottery studio. The instructor says:",
}
"""The notebook's own contexts, never trained on."""

_HELD_OUT_ONE_IN = 8


def sentences(family: str) -> list[str]:
    """Every sentence of a family, in a fixed order."""
    slots = [slot.split("|") for slot in FAMILIES[family]]
    return [" ".join(words) for words in itertools.product(*slots)]


def is_held_out(sentence: str) -> bool:
    """Whether training never shows this sentence: an eighth by checksum, and the notebook's."""
    held = zlib.crc32(sentence.encode()) % _HELD_OUT_ONE_IN == 0
    return held or sentence in NOTEBOOK_CONTEXTS.values()


def split_sentences() -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    """The sentences per family for training, and those held out."""
    seen = {name: [s for s in sentences(name) if not is_held_out(s)] for name in FAMILIES}
    unseen = {name: [s for s in sentences(name) if is_held_out(s)] for name in FAMILIES}
    return seen, unseen


def continuation_odds(word: str, family: str) -> dict[str, float]:
    """The probability of each likely continuation of `word` in `family`; sums to one."""
    answers = CONTINUATIONS[word][family]
    return dict(zip(answers, CONTINUATION_ODDS[len(answers)], strict=True))


def other_readings(word: str, family: str) -> list[str]:
    """What the word would lead to in its other families, without this family's continuations."""
    here = CONTINUATIONS[word][family]
    found = [c[0] for name, c in CONTINUATIONS[word].items() if name != family]
    return [answer for answer in dict.fromkeys(found) if answer not in here]
