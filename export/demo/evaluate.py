"""How well the model answers, how its distributions fit the corpus, and its residual norms."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import asdict, dataclass

import torch
from tokenizers import Tokenizer
from transformers import GPT2LMHeadModel

from demo import contexts
from demo.corpus import PROMPT, QUESTION_SHARES, Corpus, Example
from demo.train import target_row

NOTEBOOK_INPUT = "A red ball on a blue table, next to a green cup."
NOTEBOOK_TASKS = {
    "color": "What color is the ball?",
    "location": "Where is the ball?",
    "existence": "Is there a ball?",
    "relation": "What is the ball next to?",
    "count": "How many objects are mentioned?",
}
AMBIGUOUS_INPUT = "Fire!"

EVALUATION_SEED = 900_000
"""Far from any training seed; the held-out rule does not depend on it."""
_BATCH = 64


@dataclass(frozen=True)
class Score:
    """One cell: how often the top token is right, and how the distribution fits.

    `finished` is how often the full stop and the end of text follow the right word.
    `probability` is the mean mass on right answers, `top` the mean mass on the top token.
    `distance` is the mean total variation distance to the corpus's own distribution (0 to 1).
    """

    prompts: int
    accuracy: float
    finished: float
    probability: float
    top: float
    distance: float


def held_out_examples(kind: str, count: int, seed: int, unseen: bool = True) -> list[Example]:
    """Fresh examples of this kind: unseen pairs and contexts, or new scenes of seen pairs."""
    corpus = Corpus(seed, unseen=unseen)
    rules = corpus.rules()
    return [corpus.example(kind, rules) for _ in range(count)]


@torch.no_grad()
def next_logits(model: GPT2LMHeadModel, tokenizer: Tokenizer, texts: Iterable[str]) -> torch.Tensor:
    """Logits [n, vocabulary] for what follows each text, padded on the right."""
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    found = []
    for start in range(0, len(rows), _BATCH):
        part = rows[start : start + _BATCH]
        ids = torch.zeros(len(part), max(map(len, part)), dtype=torch.long)
        for number, row in enumerate(part):
            ids[number, : len(row)] = torch.tensor(row)
        hidden = model.transformer(ids, use_cache=False).last_hidden_state
        last = torch.tensor([len(row) - 1 for row in part])
        found.append(model.lm_head(hidden[torch.arange(len(part)), last]))
    return torch.cat(found)


def score(model: GPT2LMHeadModel, tokenizer: Tokenizer, examples: list[Example]) -> Score:
    """Ask every example and compare with its right answers and its target distribution."""
    chances = next_logits(model, tokenizer, [e.prompt for e in examples]).softmax(-1)
    right_ids = [[tokenizer.token_to_id(f"\u0120{w}") for w in e.right] for e in examples]
    top = chances.argmax(-1).tolist()
    hits = [token in ids for token, ids in zip(top, right_ids, strict=True)]
    right_mass = [row[ids].sum().item() for row, ids in zip(chances, right_ids, strict=True)]
    targets = torch.stack([target_row(tokenizer, e.target) for e in examples])
    answered = [f"{e.prompt} {e.right[0]}" for e in examples]
    stop = next_logits(model, tokenizer, answered).argmax(-1) == tokenizer.token_to_id(".")
    end = next_logits(model, tokenizer, [f"{text}." for text in answered]).argmax(-1)
    done = (stop & (end == tokenizer.get_vocab_size() - 1)).tolist()
    finished = [hit and over for hit, over in zip(hits, done, strict=True)]
    count = len(examples)
    return Score(
        count,
        sum(hits) / count,
        sum(finished) / count,
        sum(right_mass) / count,
        chances.max(-1).values.mean().item(),
        ((chances - targets).abs().sum(-1) / 2).mean().item(),
    )


def score_all(
    model: GPT2LMHeadModel, tokenizer: Tokenizer, count: int, unseen: bool = True
) -> dict[str, Score]:
    """A score for every kind of prompt, on `count` fresh examples each."""
    return {
        kind: score(
            model, tokenizer, held_out_examples(kind, count, EVALUATION_SEED + number, unseen)
        )
        for number, kind in enumerate(QUESTION_SHARES)
    }


def score_by_size(
    model: GPT2LMHeadModel, tokenizer: Tokenizer, kinds: Iterable[str], count: int
) -> dict[str, dict[str, float]]:
    """Accuracy per kind and number of objects in the scene, on `count` examples per kind."""
    found: dict[str, dict[str, float]] = {}
    for kind in kinds:
        examples = held_out_examples(kind, count, EVALUATION_SEED + 500)
        cells: dict[int, list[Example]] = {}
        for example in examples:
            cells.setdefault(example.n_objects, []).append(example)
        found[kind] = {
            str(size): score(model, tokenizer, cells[size]).accuracy for size in sorted(cells)
        }
    return found


def score_every_context(model: GPT2LMHeadModel, tokenizer: Tokenizer) -> dict[str, float]:
    """Accuracy of one-word inputs per context family, over all held-out sentences."""
    unseen = contexts.split_sentences()[1]
    found = {}
    for family, sentences in unseen.items():
        words = [word for word, known in contexts.CONTINUATIONS.items() if family in known]
        examples = [
            Example(
                "ambiguous", sentence, word,
                contexts.continuation_odds(word, family), (contexts.CONTINUATIONS[word][family][0],)
            )
            for sentence in sentences
            for word in words
        ]  # fmt: skip
        found[family] = score(model, tokenizer, examples).accuracy
    return found


@torch.no_grad()
def residual_norms(
    model: GPT2LMHeadModel, tokenizer: Tokenizer, count: int = 200
) -> list[dict[str, float]]:
    """Length (L2) of the residual stream after each block, before the final layer norm.

    Over held-out scene prompts: mean over all positions, mean at the last position, maximum.
    """
    kinds = random.Random(EVALUATION_SEED).choices(list(QUESTION_SHARES), k=count)
    corpus = Corpus(EVALUATION_SEED + 900, unseen=True)
    rules = corpus.rules()
    seen: list[list[torch.Tensor]] = [[] for _ in model.transformer.h]

    def watch(index: int):
        def hook(_module, _inputs, output) -> None:
            hidden = output[0] if isinstance(output, tuple) else output
            seen[index].append(hidden.reshape(-1, hidden.shape[-1]).norm(dim=-1))

        return hook

    hooks = [b.register_forward_hook(watch(i)) for i, b in enumerate(model.transformer.h)]
    for kind in kinds:
        ids = tokenizer.encode(corpus.example(kind, rules).prompt).ids
        model.transformer(torch.tensor([ids]), use_cache=False)
    for hook in hooks:
        hook.remove()
    return [
        {
            "layer": layer,
            "mean": torch.cat(rows).mean().item(),
            "last": torch.stack([row[-1] for row in rows]).mean().item(),
            "max": torch.cat(rows).max().item(),
        }
        for layer, rows in enumerate(seen)
    ]


def notebook_answers(
    model: GPT2LMHeadModel, tokenizer: Tokenizer, top_k: int = 5
) -> dict[str, list[tuple[str, float]]]:
    """The top next tokens and probabilities for the notebook's own nine prompts."""
    asked = {name: (task, NOTEBOOK_INPUT) for name, task in NOTEBOOK_TASKS.items()}
    asked |= {n: (task, AMBIGUOUS_INPUT) for n, task in contexts.NOTEBOOK_CONTEXTS.items()}
    texts = [PROMPT.format(task=task, input=text) for task, text in asked.values()]
    chances, tokens = next_logits(model, tokenizer, texts).softmax(-1).topk(top_k)
    return {
        name: [(tokenizer.decode([t]).strip(), round(p, 4)) for t, p in zip(ids, row, strict=True)]
        for name, ids, row in zip(asked, tokens.tolist(), chances.tolist(), strict=True)
    }


def as_json(scores: dict[str, Score]) -> dict[str, dict[str, float]]:
    """Scores as plain numbers with four decimals."""
    return {
        kind: {name: round(value, 4) for name, value in asdict(found).items()}
        for kind, found in scores.items()
    }
