"""Families and settings that the graphs cannot compute are refused by a sentence, before anything
is written."""

import pytest
from transformers import AutoConfig

from aqlens_export.errors import ExportError
from aqlens_export.run import ExportOptions, export_model

from .conftest import TINY
from .tiny_families import BASE, UNKNOWN


def write_config(folder, model_type, changes):
    """A checkpoint folder as far as the refusal looks: no weights are needed."""
    if model_type in ("t5", "bloom"):
        config = AutoConfig.for_model(model_type, **changes)
    else:
        config = AutoConfig.for_model(model_type, **{**BASE, **changes})
    config.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes((TINY / "tokenizer.json").read_bytes())


@pytest.mark.parametrize("name", UNKNOWN)
def test_what_the_exporter_does_not_know_is_refused_and_nothing_written(name, tmp_path):
    model_type, changes, said = UNKNOWN[name]
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    write_config(checkpoint, model_type, changes)
    with pytest.raises(ExportError, match=said) as refused:
        export_model(
            ExportOptions(tmp_path / "m", model=str(checkpoint), threads=1), lambda _: None
        )
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]
