"""The demo model's corpus obeys its own rules, and the shipped checkpoint answers by them."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer
from transformers import AutoTokenizer, GPT2LMHeadModel

from demo import contexts, evaluate, questions
from demo.corpus import DENSE, END_OF_TEXT, QUESTION_SHARES, Corpus, answer_words
from demo.scene_file import scene_examples, scene_rows
from demo.tokenizer import learn_tokenizer
from demo.train import STAGES, Batcher, batch_loss, new_model
from demo.words import COLORS, ITEMS, NOTEBOOK_PAIRS, NUMBERS, SURFACES, split_pairs

DATA = Path(__file__).parents[2] / "data"
CHECKPOINT = DATA / "demo" / "checkpoint"
OBJECT = re.compile(rf"\b({'|'.join(COLORS)}) ({'|'.join(ITEMS + SURFACES)})\b")
NOUN = re.compile(rf"\b({'|'.join(ITEMS + SURFACES)})\b")
SHORT = tuple(replace(stage, steps=max(1, stage.steps // 100)) for stage in STAGES)


@pytest.fixture(scope="module")
def examples():
    """A hundredth of a training stream, every stage of it."""
    return list(Corpus(5).stream(SHORT, 64))


@pytest.fixture(scope="module")
def learned():
    """The tokenizer that seed 5 gives."""
    return learn_tokenizer(5)


@pytest.fixture(scope="module")
def shipped():
    """The shipped model and its tokenizer, as `tokenizers` reads it."""
    torch.set_num_threads(1)
    tokenizer = Tokenizer.from_file(str(CHECKPOINT / "tokenizer.json"))
    return GPT2LMHeadModel.from_pretrained(CHECKPOINT).eval(), tokenizer


def test_about_an_eighth_of_all_pairs_is_held_out_the_notebook_s_among_them():
    pairs = split_pairs()
    share = sum(map(len, pairs.unseen.values())) / (len(COLORS) * len(ITEMS + SURFACES))
    assert 0.11 < share < 0.15
    assert all(pairs.is_unseen(color, noun) for color, noun in NOTEBOOK_PAIRS)
    assert all(len(pairs.seen[noun]) + len(pairs.unseen[noun]) == 13 for noun in pairs.seen)


def test_training_never_shows_a_held_out_pair_or_the_notebook_s_inputs(examples):
    pairs = split_pairs()
    for example in examples:
        assert not any(pairs.is_unseen(*found) for found in OBJECT.findall(example.input))
        assert example.input != evaluate.NOTEBOOK_INPUT
        assert example.task not in contexts.NOTEBOOK_CONTEXTS.values()
        if example.kind == "ambiguous":
            assert not contexts.is_held_out(example.task)


def test_the_notebook_s_contexts_belong_to_their_families():
    for family, sentence in contexts.NOTEBOOK_CONTEXTS.items():
        assert sentence in contexts.sentences(family)
        assert sentence in contexts.split_sentences()[1][family]


def test_the_notebook_s_questions_are_trained_wordings():
    for task, question in evaluate.NOTEBOOK_TASKS.items():
        assert question in [w.format("ball") for w in questions.WORDINGS[task]]
        assert len(questions.WORDINGS[task]) >= 4


@pytest.mark.parametrize("unseen", [False, True])
def test_answers_can_be_read_off_the_text(unseen):
    for kind in questions.SINGLE_ANSWER:
        for example in evaluate.held_out_examples(kind, 200, seed=11, unseen=unseen):
            _check_answer(example)


def _check_answer(example):
    """Find the answer in the scene's text without the code that made it."""
    worn = OBJECT.findall(example.input)
    nouns = [noun for _, noun in worn]
    (right,) = example.right
    if example.kind == "count":
        assert right == NUMBERS[len(nouns) - 1]
    elif example.kind == "identity":
        color = next(word for word in COLORS if re.search(rf"\b{word}\b", example.task))
        assert [noun for found, noun in worn if found == color] == [right]
    else:
        subject = NOUN.findall(example.task)[0]
        if example.kind == "color":
            assert (right, subject) in worn
        elif example.kind == "existence":
            assert right == ("yes" if subject in nouns else "no")
        elif example.kind == "location":
            clause = rf"{subject}\b[^.]*? on (top of )?an? \w+ {right}\b"
            assert re.search(clause, example.input)
        else:
            beside = r"( on( top of)? an? \w+ \w+,)? (next to|beside|near|close to) an? \w+ "
            assert re.search(rf"{subject}{beside}{right}\b", example.input) or re.search(
                rf"{right}{beside}{subject}\b", example.input
            )


def test_targets_are_distributions_with_the_right_answer_on_top(examples):
    for example in examples:
        if example.target:
            assert sum(example.target.values()) == pytest.approx(1.0)
            assert min(example.target.values()) >= 0
        if example.kind in questions.SINGLE_ANSWER:
            (right,) = example.right
            assert example.target[right] >= 0.94
            assert max(example.target, key=example.target.__getitem__) == right


def test_kinds_beyond_the_main_questions_stay_a_fifth_of_the_stream():
    beyond = ("any_object", "any_color", "neutral", "scrambled")
    assert sum(QUESTION_SHARES[kind] for kind in beyond) <= 0.2
    assert sum(QUESTION_SHARES.values()) == pytest.approx(1.0)


def test_a_scrambled_task_has_the_words_of_a_real_one_in_another_order(examples):
    real = {w for found in questions.WORDINGS.values() for w in found}
    for example in examples:
        if example.kind == "scrambled":
            assert example.task not in real
            assert example.right == ("noted",)


def test_one_seed_gives_one_stream_and_one_tokenizer(examples, learned):
    assert examples == list(Corpus(5).stream(SHORT, 64))
    assert examples[:500] != list(islice(Corpus(6).stream(SHORT, 64), 500))
    assert learned.to_str() == learn_tokenizer(5).to_str()


def test_every_answer_word_is_one_token(learned, shipped):
    for tokenizer in (learned, shipped[1]):
        assert [w for w in answer_words() if len(tokenizer.encode(f" {w}").ids) != 1] == []
        assert tokenizer.token_to_id(END_OF_TEXT) == tokenizer.get_vocab_size() - 1


def test_a_batch_supervises_the_token_after_the_prompt(examples, learned):
    batch = next(iter(Batcher(learned, iter(examples[-1024:]), seed=1)))
    colon = learned.token_to_id(":")
    assert set(batch.ids.flatten()[batch.answers].tolist()) == {colon}
    torch.testing.assert_close(batch.targets.sum(1), torch.ones(len(batch.answers)))
    torch.testing.assert_close(batch.ids.flatten()[batch.text + 1], batch.text_next)


def test_a_batch_may_hold_listing_tasks_only(learned):
    corpus = Corpus(5)
    dense = [corpus.example(kind, corpus.rules()) for kind in DENSE for _ in range(20)]
    batch = next(iter(Batcher(learned, iter(dense), seed=1)))
    loss, answer_loss = batch_loss(new_model(learned, seed=1), batch)
    assert loss.isfinite()
    assert (len(batch.answers), answer_loss) == (0, 0.0)


def test_the_shipped_scenes_are_what_the_code_makes():
    lines = (DATA / "scenes.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == scene_rows()
    assert len({json.loads(line)["text"] for line in lines}) == len(lines) >= 240


def test_the_shipped_tokenizer_is_the_same_for_both_libraries(shipped):
    both = AutoTokenizer.from_pretrained(CHECKPOINT)
    for example in evaluate.held_out_examples("color", 50, seed=3):
        assert both(example.prompt)["input_ids"] == shipped[1].encode(example.prompt).ids
    assert both.eos_token_id == both.bos_token_id == len(both) - 1
    unseen = "Grüße, 世界 🎈"
    assert shipped[1].decode(shipped[1].encode(unseen).ids) == unseen


def test_the_shipped_model_answers_the_notebook(shipped):
    answers = {name: top[0][0] for name, top in evaluate.notebook_answers(*shipped).items()}
    scene = {"color": "red", "location": "table", "existence": "yes", "relation": "cup"}
    words = {"emergency": "run", "military": "shoot", "campfire": "burn", "pottery": "kiln"}
    assert answers == scene | {"count": "three"} | words


@pytest.mark.parametrize("kind", (*questions.SINGLE_ANSWER, "ambiguous"))
def test_the_shipped_model_answers_new_prompts(shipped, kind):
    for unseen in (True, False):
        found = evaluate.held_out_examples(kind, 200, seed=77, unseen=unseen)
        assert evaluate.score(*shipped, found).accuracy >= 0.95


def test_the_shipped_model_answers_the_shipped_scenes(shipped):
    for examples in scene_examples().values():
        assert evaluate.score(*shipped, examples[:100]).accuracy >= 0.95
