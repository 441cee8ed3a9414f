"""The training loop: one uninterrupted run, one thread, continuous optimizer state.

Three stages share one model and one optimizer. Question matching has to come first and the
dense listing tasks second: with listing tasks from the start, existence stays at chance, and
without them color and identity do. The learning rate falls to zero in the last stage.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import torch
import torch.nn.functional as nnf
from tokenizers import Tokenizer
from transformers import GPT2Config, GPT2LMHeadModel

from demo.corpus import Corpus, Example, Stage
from demo.muon import Muon

STAGES = (
    Stage(400, max_objects=3, n_items=8, n_surfaces=4),
    Stage(800, max_objects=3),
    Stage(1400),
    Stage(2000, dense_share=0.3),
    Stage(5500),
)
BATCH = 64
"""Prompts per step."""
POOL = 16
"""Batches drawn together and sorted by length, so that little is padding."""

MUON_RATE = 0.02
ADAM_RATE = 2e-3
MUON_DECAY = 0.1
ADAM_DECAY = 0.1
WARMUP_STEPS = 100
FALL_STEPS = 3500
"""Steps at the end over which both learning rates fall to zero, in a straight line."""

DENSE_WEIGHT = 0.5
"""Weight of a listing task's token beside a question's answer."""
TEXT_WEIGHT = 0.1
TEXT_SHARE = 0.15
"""Share of the other tokens that are predicted: the model stays a language model of its world."""


@dataclass
class Batch:
    """Padded token ids and where the losses are; indices point into the flattened batch.

    `answers` [n] predict a whole distribution `targets` [n, vocabulary]; `dense` and `text`
    predict the one token that follows, `dense_next` and `text_next`. Listing tasks are long,
    so a batch may hold nothing else: `answers` may be empty.
    """

    ids: torch.Tensor
    answers: torch.Tensor
    targets: torch.Tensor
    dense: torch.Tensor
    dense_next: torch.Tensor
    text: torch.Tensor
    text_next: torch.Tensor
    n_tokens: int


def new_model(tokenizer: Tokenizer, seed: int) -> GPT2LMHeadModel:
    """A GPT-2 of twelve narrow blocks with seeded weights."""
    torch.manual_seed(seed)
    size = tokenizer.get_vocab_size()
    config = GPT2Config(
        vocab_size=size,
        n_positions=128,
        n_embd=64,
        n_layer=12,
        n_head=4,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        initializer_range=0.06,
        bos_token_id=size - 1,
        eos_token_id=size - 1,
    )
    return GPT2LMHeadModel._from_config(config, attn_implementation="sdpa")


def target_row(tokenizer: Tokenizer, target: dict[str, float]) -> torch.Tensor:
    """The distribution over the vocabulary [vocabulary] for these answer words."""
    row = torch.zeros(tokenizer.get_vocab_size())
    for word, chance in target.items():
        row[tokenizer.token_to_id(f"\u0120{word}")] = chance
    return row


class Batcher:
    """Turns the stream of examples into batches of similar length."""

    def __init__(self, tokenizer: Tokenizer, examples: Iterator[Example], seed: int) -> None:
        self.tokenizer = tokenizer
        self.examples = examples
        self.rng = random.Random(seed)

    def __iter__(self) -> Iterator[Batch]:
        """Draw a pool, sort it by length, hand out its batches in random order."""
        while pool := list(islice(self.examples, BATCH * POOL)):
            prompts = self.tokenizer.encode_batch([e.prompt for e in pool])
            tails = self.tokenizer.encode_batch([e.continuation for e in pool])
            rows = [(e, p.ids, t.ids) for e, p, t in zip(pool, prompts, tails, strict=True)]
            rows.sort(key=lambda row: len(row[1]) + len(row[2]))
            starts = list(range(0, len(rows), BATCH))
            self.rng.shuffle(starts)
            for start in starts:
                yield self._batch(rows[start : start + BATCH])

    def _batch(self, rows: list[tuple[Example, list[int], list[int]]]) -> Batch:
        """Pad the rows on the right and note which positions predict what."""
        width = max(len(prompt) + len(tail) for _, prompt, tail in rows)
        ids = torch.zeros(len(rows), width, dtype=torch.long)
        answers, targets, dense, text = [], [], [], []
        for number, (example, prompt, tail) in enumerate(rows):
            tokens, last = prompt + tail, len(prompt) - 1
            ids[number, : len(tokens)] = torch.tensor(tokens)
            base = number * width
            rest = [i for i in range(last) if self.rng.random() < TEXT_SHARE]
            if example.target:
                answers.append(base + last)
                targets.append(target_row(self.tokenizer, example.target)[None])
                rest += range(last + 1, len(tokens) - 1)
            else:
                dense += range(base + last, base + len(tokens) - 1)
            text += [base + i for i in rest]
        flat = ids.flatten()
        at = [torch.tensor(found, dtype=torch.long) for found in (answers, dense, text)]
        soft = torch.cat([torch.zeros(0, self.tokenizer.get_vocab_size()), *targets])
        used = sum(len(prompt) + len(tail) for _, prompt, tail in rows)
        return Batch(ids, at[0], soft, at[1], flat[at[1] + 1], at[2], flat[at[2] + 1], used)


def batch_loss(model: GPT2LMHeadModel, batch: Batch) -> tuple[torch.Tensor, float]:
    """The loss to descend, and the answers' mean cross-entropy in nats for the log.

    Logits are computed only where a loss is: right padding behind a causal mask needs no
    attention mask, and the other positions' logits would be a tenth of the work.
    """
    hidden = model.transformer(batch.ids, use_cache=False).last_hidden_state.flatten(0, 1)
    logits = model.lm_head(hidden[torch.cat([batch.answers, batch.dense, batch.text])])
    counts = [len(batch.answers), len(batch.dense), len(batch.text)]
    answers, dense, text = logits.split(counts)
    answer_sum = nnf.cross_entropy(answers, batch.targets, reduction="sum")
    dense_sum = nnf.cross_entropy(dense, batch.dense_next, reduction="sum")
    main = (answer_sum + DENSE_WEIGHT * dense_sum) / (counts[0] + DENSE_WEIGHT * counts[1])
    rest = nnf.cross_entropy(text, batch.text_next)
    return main + TEXT_WEIGHT * rest, answer_sum.item() / max(1, counts[0])


class Optimizer:
    """Muon on the block matrices, AdamW on embeddings, norms and biases."""

    def __init__(self, model: GPT2LMHeadModel) -> None:
        self.params = list(model.parameters())
        blocks = model.transformer.h
        self.muons = [
            Muon([block.attn.c_attn.weight for block in blocks], MUON_DECAY, split=3),
            Muon([block.attn.c_proj.weight for block in blocks], MUON_DECAY),
            Muon([block.mlp.c_fc.weight for block in blocks], MUON_DECAY),
            Muon([block.mlp.c_proj.weight for block in blocks], MUON_DECAY),
        ]
        inside = {id(param) for muon in self.muons for param in muon.params}
        rest = [param for param in self.params if id(param) not in inside]
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": ADAM_DECAY},
            {"params": [p for p in rest if p.ndim == 1], "weight_decay": 0.0},
        ]
        self.adam = torch.optim.AdamW(groups, lr=ADAM_RATE, betas=(0.9, 0.98), fused=True)

    def step(self, factor: float) -> None:
        """Clip the gradients to norm one and take a step at `factor` of the full rates."""
        torch.nn.utils.clip_grad_norm_(self.params, 1.0)
        for group in self.adam.param_groups:
            group["lr"] = ADAM_RATE * factor
        self.adam.step()
        for muon in self.muons:
            muon.step(MUON_RATE * factor)
        self.adam.zero_grad(set_to_none=True)
        for muon in self.muons:
            for param in muon.params:
                param.grad = None


def rate_factor(step: int, total: int) -> float:
    """The learning rate's factor: a short rise, a plateau, a fall to zero."""
    return min(1.0, (step + 1) / WARMUP_STEPS, (total - step) / FALL_STEPS)


def train(
    tokenizer: Tokenizer,
    seed: int,
    stages: tuple[Stage, ...],
    watch: Callable[[int, GPT2LMHeadModel, str], None],
) -> tuple[GPT2LMHeadModel, int]:
    """Train from scratch; returns the model and how many tokens it read.

    `watch(step, model, line)` is called every 100 steps with a log line; what it does must
    not touch torch's random state.
    """
    model = new_model(tokenizer, seed).train()
    optimizer = Optimizer(model)
    examples = Corpus(seed).stream(stages, BATCH)
    total = sum(stage.steps for stage in stages)
    n_tokens, loss_sum, started = 0, 0.0, time.monotonic()
    for step, batch in enumerate(Batcher(tokenizer, examples, seed)):
        loss, answer_loss = batch_loss(model, batch)
        loss.backward()
        optimizer.step(rate_factor(step, total))
        n_tokens += batch.n_tokens
        loss_sum += answer_loss
        if (step + 1) % 100 == 0:
            spent = time.monotonic() - started
            watch(
                step + 1,
                model,
                f"step {step + 1}/{total} answer loss {loss_sum / 100:.4f} "
                f"tokens {n_tokens} {n_tokens / spent:.0f}/s {spent / 60:.1f} min",
            )
            loss_sum = 0.0
    return model.eval(), n_tokens
