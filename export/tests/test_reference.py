"""The oracle itself: its functions by hand, its numbers by other ways through PyTorch."""

import json
import math

import numpy as np
import pytest
import torch

import reference
import reference_lens
from pipeline_file import PipelineError, fill_prompt, read_pipeline

from .conftest import FIXTURES, TINY


@pytest.fixture(scope="module")
def notebook():
    return reference.Notebook(str(TINY / "checkpoint"))


@pytest.fixture
def numbers():
    return json.loads((FIXTURES / "reference" / "tiny.json").read_text(encoding="utf-8"))


def test_cosine_is_taken_over_the_shorter_of_the_flattened_two():
    a = torch.tensor([[1.0, 0.0], [2.0, 2.0]])
    b = torch.tensor([[1.0, 1.0], [0.0, 2.0], [9.0, 9.0]])
    by_hand = (1 + 0 + 0 + 4) / (3 * math.sqrt(1 + 1 + 0 + 4))
    assert reference.cosine_similarity(a, b) == pytest.approx(by_hand, abs=1e-7)
    assert reference.cosine_similarity(torch.zeros(2, 2), b) == 0.0


def test_focus_is_the_last_layers_last_query_averaged_over_heads():
    unused = torch.full((1, 2, 3, 3), 1 / 3)
    last = torch.zeros(1, 2, 3, 3)
    last[0, :, 2] = torch.tensor([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3]])
    focus = reference.attention_focus([unused, last], top_k=2)
    assert focus["layer"] == 1
    assert focus["ranked"] == [1, 0] and focus["positions"] == [0, 1]
    assert focus["weights"] == pytest.approx([0.4, 0.3], abs=1e-7)
    assert focus["gap"] == pytest.approx(0.0, abs=1e-7)


def test_a_prompt_shorter_than_k_gets_all_its_positions():
    focus = reference.attention_focus([torch.full((1, 1, 2, 2), 0.5)], top_k=5)
    assert focus["k"] == 2 and focus["positions"] == [0, 1] and focus["gap"] is None


def test_jaccard_is_shared_over_all():
    assert reference.jaccard({0, 1, 2}, {2, 3}) == 0.25


def test_surprisal_is_that_of_each_token_under_those_before_it():
    logits = torch.zeros(1, 3, 4)
    logits[0, 0] = torch.tensor([0.0, 0.0, 0.0, 0.0])
    logits[0, 1] = torch.tensor([math.log(5), 0.0, 0.0, 0.0])
    logits[0, 2] = 99.0
    found = reference_lens.surprisal([3, 2, 0], logits)
    assert found["surprisal_bits"] == pytest.approx([2.0, math.log2(8 / 5)], abs=1e-6)
    by_hand = 5 / 8 * math.log2(8 / 5) + 3 / 8 * 3
    assert found["entropy_bits"] == pytest.approx([2.0, by_hand], abs=1e-6)


def test_surprisal_adds_up_to_the_models_own_loss(notebook, numbers):
    prompt = numbers["scenarios"][0]["inputs"][1]["prompts"][0]
    ids = torch.tensor([prompt["token_ids"]])
    with torch.no_grad():
        loss = notebook.model(ids, labels=ids).loss.item()
    mean = sum(prompt["surprisal_bits"]) / len(prompt["surprisal_bits"])
    assert mean * math.log(2) == pytest.approx(loss, rel=1e-6)


def test_the_lens_on_the_last_layer_is_the_whole_model(numbers):
    n_seen = 0
    for scenario in numbers["scenarios"]:
        for prompt in (p for row in scenario["inputs"] for p in row["prompts"]):
            row = prompt["logit_lens"]["4"]
            assert row["top1_id"] == prompt["next_tokens"][0]["token_id"]
            assert row["top1_prob"] == pytest.approx(prompt["next_tokens"][0]["probability"], 1e-6)
            assert abs(row["kl_to_final"]) < 1e-9 and row["rank_final"] == 1
            assert prompt["logit_lens"]["0"]["kl_to_final"] > 1e-3
            n_seen += 1
    assert n_seen > 30


def test_lens_rows_by_hand():
    logits = torch.log(torch.tensor([0.5, 0.25, 0.25]))
    lens = {2: torch.log(torch.tensor([0.25, 0.25, 0.5], dtype=torch.float64))}
    (row,) = reference_lens.logit_lens(lens, logits).values()
    assert (row["top1_id"], row["rank_final"]) == (2, 2)
    assert (row["top1_prob"], row["entropy_bits"]) == pytest.approx((0.5, 1.5))
    assert row["kl_to_final"] == pytest.approx(0.25 * math.log(2), rel=1e-6)
    assert row["gap"] == pytest.approx(0.0, abs=1e-12)


def test_jensen_shannon_in_bits():
    p, q = (torch.log(torch.tensor(x).double()) for x in ([2.0, 1, 1], [1.0, 1, 2]))
    one, two = (x - torch.logsumexp(x, 0) for x in (p, q))
    m = [3 / 8, 2 / 8, 3 / 8]
    by_hand = sum(a * math.log2(a / b) for a, b in zip([0.5, 0.25, 0.25], m, strict=True))
    assert reference_lens.jsd_bits(one, two) == pytest.approx(by_hand, rel=1e-12)
    assert reference_lens.jsd_bits(one, one) == 0.0


def test_next_tokens_are_the_softmax_of_the_last_position(notebook):
    logits = torch.zeros(1, 2, 320)
    logits[0, 0, 7] = 50.0
    logits[0, 1, 266] = math.log(100.0)
    row = reference.next_tokens(notebook.tokenizer, logits, 5)[0]
    assert row["token_id"] == 266 and row["token"] == " ball" and row["printed"] == "ball"
    assert row["probability"] == pytest.approx(100 / 419, rel=1e-6)
    assert row["printed_probability"] == "0.2387"


def test_hooks_see_the_blocks_before_the_final_norm(notebook):
    text = "the red ball is on the table"
    seen = notebook.extract_activations(text, [0, 3, 4])
    ids = torch.tensor([seen["token_ids"]])
    with torch.no_grad():
        states = notebook.model(ids, output_hidden_states=True).hidden_states
    assert torch.equal(seen["activations"][3].reshape_as(states[4]), states[4])
    last = seen["activations"][4].reshape_as(states[5])
    assert not torch.allclose(last, states[5], atol=0.1)
    assert torch.allclose(notebook.model.transformer.ln_f(last), states[5], atol=1e-5)


def test_a_pipeline_is_read_with_its_files_defaults_and_first_wordings(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"n": 1, "t": "x\\r\\ny"}\n\n{"n": "b", "t": " z"}\n')
    (tmp_path / "tasks.csv").write_text('task,q,extra\nwhy,"Why, ""so""?",1\nhow,How?,2\n')
    (tmp_path / "p.yml").write_text(
        "name: p\nscenarios:\n- name: s\n"
        "  inputs: {file: in.jsonl, id: n, text: t}\n"
        "  tasks: {file: tasks.csv, id: task, text: q}\n"
        "- name: r\n  inputs: {a: A}\n  tasks: {one: {wordings: [First, Second]}, two: Two}\n"
        "stages:\n- kind: extract\n  layers: [2, 1]\n- kind: attention\n  top_k: 3\n"
    )
    found = read_pipeline(tmp_path / "p.yml")
    assert found.scenarios[0].inputs == {"1": "x\r\ny", "b": " z"}
    assert found.scenarios[0].tasks == {"why": 'Why, "so"?', "how": "How?"}
    assert found.scenarios[1].tasks == {"one": "First", "two": "Two"}
    assert found.layers == [2, 1]
    assert (found.attention_top_k, found.tokens_top_k, found.threshold) == (3, 5, 0.9)
    assert fill_prompt(found.prompt, "Q?", "A {task}") == "Q?\n\nContext: A {task}\n\nAnswer:"


def test_a_task_that_names_the_placeholders_is_left_as_it_is():
    assert fill_prompt("{task}|{input}", "{input}", "{task}") == "{input}|{task}"


def test_means_and_verdicts_follow_from_the_matrices(numbers):
    for scenario in numbers["scenarios"]:
        upper = np.triu_indices(len(scenario["tasks"]), k=1)
        for layer in map(str, scenario["layers"]):
            rows = [np.array(row["similarity"][layer]) for row in scenario["inputs"]]
            mean = np.mean([value for matrix in rows for value in matrix[upper]])
            assert scenario["mean_similarity"][layer] == pytest.approx(mean, abs=1e-8)
            assert scenario["printed"][layer] == f"{mean:.4f}"
        late = scenario["mean_similarity"][str(scenario["layers"][-1])]
        assert scenario["late_similarity"] == late
        assert scenario["supported"] == (late < numbers["threshold"])
    assert [s["supported"] for s in numbers["scenarios"]] == [True, False]


def test_attention_rows_cover_all_keys_and_carry_the_focus(numbers):
    for scenario in numbers["scenarios"]:
        for prompt in (p for row in scenario["inputs"] for p in row["prompts"]):
            weights = np.array(prompt["attention"]["4"])
            assert weights.shape == (3, len(prompt["token_ids"]))
            assert np.allclose(weights.sum(axis=1), 1, atol=1e-5)
            ranked = np.argsort(-weights.mean(axis=0))[: prompt["focus"]["k"]].tolist()
            assert ranked == prompt["focus"]["ranked"]


def test_impossible_layers_are_refused(notebook, tmp_path):
    (tmp_path / "p.yml").write_text(
        "name: p\nscenarios: []\nstages:\n- kind: extract\n  layers: [4, 5]\n"
    )
    with pytest.raises(PipelineError, match=r"layers \[5\] of p: the checkpoint has 0 to 4"):
        reference.make_reference(read_pipeline(tmp_path / "p.yml"), notebook)


def test_one_task_has_no_mean_and_supports_nothing(notebook, tmp_path):
    (tmp_path / "p.yml").write_text(
        "name: p\nscenarios:\n- {name: s, inputs: {a: A}, tasks: {t: T}}\n"
    )
    found = reference.make_reference(read_pipeline(tmp_path / "p.yml"), notebook)
    scenario = found["scenarios"][0]
    assert scenario["layers"] == [0, 1, 2, 3, 4]
    assert scenario["late_similarity"] is None and scenario["supported"] is False


def test_the_command_times_the_extraction(tmp_path, capsys):
    command = ["--checkpoint", str(TINY / "checkpoint"), "--time", "--threads", "1"]
    out = tmp_path / "time.json"
    assert reference.main([*command, "--token-lengths", "9,4", "--out", str(out)]) == 0
    assert reference.main([str(FIXTURES / "tiny.yml"), *command]) == 0
    assert json.loads(out.read_text())["tokens"] == 13
    assert capsys.readouterr().out.count("tokens/s on 1 threads") == 2


def test_a_missing_checkpoint_or_pipeline_is_named(capsys, tmp_path):
    out = ["--out", str(tmp_path / "o.json")]
    tiny = str(FIXTURES / "tiny.yml")
    assert reference.main([tiny, "--checkpoint", str(tmp_path), *out]) == 1
    assert "has no config.json" in capsys.readouterr().err
    assert reference.main(["no.yml", "--checkpoint", str(TINY / "checkpoint"), *out]) == 1
    assert "cannot read no.yml" in capsys.readouterr().err
