"""What is counted in the tables of draws whose truth is known, and what is wanted of it.

The unit is the draw (a scenario with inputs and wordings of its own): rows of one draw come from the same
prompts, so a share of rows is taken within each draw first, and its uncertainty over draws.
"""

from dataclasses import dataclass, field

import numpy as np
import polars as pl
from scipy import special

LEVEL = 0.05
NAMED = ("span_standardised", "last_standardised", "jsd_bits")
"""The measures that the verdict rests on unless a pipeline says otherwise."""


@dataclass(frozen=True)
class Figure:
    """A share over draws, with what it must be; `at_most` and `at_least` are None where nothing is wanted.

    `strict` figures must hold themselves; of the others (a part of the draws) only that the wanted share
    is within reach: their 99 % interval may not lie beyond it.
    """

    section: str
    of: dict
    what: str
    values: np.ndarray = field(repr=False)
    at_most: float | None = None
    at_least: float | None = None
    strict: bool = True

    @property
    def draws(self) -> int:
        return len(self.values)

    @property
    def share(self) -> float:
        return float(np.mean(self.values)) if len(self.values) else float("nan")

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Clopper and Pearson's where a draw is either or; else Student's t over draws."""
        n = len(self.values)
        if n < 2:
            return 0.0, 1.0
        if np.all((self.values == 0) | (self.values == 1)):
            found, tail = self.values.sum(), (1 - confidence) / 2
            low = special.betaincinv(found, n - found + 1, tail) if found else 0.0
            high = special.betaincinv(found + 1, n - found, 1 - tail) if found < n else 1.0
            return float(low), float(high)
        half = special.stdtrit(n - 1, (1 + confidence) / 2) * np.std(self.values, ddof=1) / np.sqrt(n)
        return max(0.0, self.share - half), min(1.0, self.share + half)

    @property
    def holds(self) -> bool | None:
        """None where nothing is wanted; a figure of no draws does not hold."""
        if self.at_most is None and self.at_least is None:
            return None
        if not self.draws:
            return False
        low, high = (self.share, self.share) if self.strict else self.interval(0.99)
        return bool((self.at_most is None or low <= self.at_most) and (self.at_least is None or high >= self.at_least))


def by_draw(rows: pl.DataFrame, flag: pl.Expr, draws: list[str], *, missing: float | None) -> np.ndarray:
    """The share of each draw's rows for which `flag` is true; a draw without rows counts as `missing`, or
    not at all."""
    found = dict(rows.group_by("scenario").agg(flag.cast(pl.Float64).mean().alias("share")).iter_rows())
    values = [found.get(draw, missing) for draw in draws]
    return np.array([value for value in values if value is not None], dtype=float)


def null_figures(effect: pl.DataFrame, verdict: pl.DataFrame, draws: pl.DataFrame) -> list[Figure]:
    """No task differs from another. `draws`: scenario, model, design; `scenario` names a draw once for all."""
    figures = _null_of(effect, verdict, draws["scenario"].to_list(), {"model": "all", "design": "all"}, True)
    for (model, design), part in draws.group_by(["model", "design"], maintain_order=True):
        of = {"model": model, "design": design}
        figures += _null_of(effect, verdict, part["scenario"].to_list(), of, False)
    return figures


def _null_of(effect, verdict, draws, of, strict) -> list[Figure]:
    rows = effect.filter(pl.col("contrast") == "paraphrase", pl.col("scenario").is_in(draws))
    verdicts = verdict.filter(pl.col("measure") != "flat", pl.col("scenario").is_in(draws))
    is_any = lambda word: by_draw(_any(verdicts, word), pl.col("is"), draws, missing=0.0)  # noqa: E731
    family = rows.group_by("scenario", "measure").agg((pl.col("p_wording_max_t").min() < LEVEL).alias("is"))
    figures = [
        Figure("null", of, "supported, any named measure", is_any("supported"), at_most=0.05, strict=strict),
        Figure("null", of, "interval holds 0", _holds(rows, draws, "ci"), at_least=0.93, strict=strict),
        Figure("null", of, "equivalent, any measure", is_any("equivalent")),
        Figure("null", of, "differs by less than matters, any measure", is_any("less")),
        Figure("null", of, "not testable, any measure", is_any("not_testable")),
        Figure(
            "null", of, "p_wording_max_t below .05, of the measures",
            by_draw(family, pl.col("is"), draws, missing=None), at_most=0.05, strict=strict,
        ),
    ]  # fmt: skip
    if "ci_inputs_low" in rows.columns:
        figures.append(Figure("null", of, "interval over inputs alone holds 0", _holds(rows, draws, "ci_inputs")))
    return figures


def _any(verdicts: pl.DataFrame, word: str) -> pl.DataFrame:
    """For each draw, whether any measure got this verdict; `less`: differs, by less than matters."""
    flag = pl.col("reason").str.contains("by less than matters") if word == "less" else pl.col("verdict") == word
    return verdicts.group_by("scenario").agg(flag.any().alias("is"))


def _holds(rows: pl.DataFrame, draws: list[str], name: str) -> np.ndarray:
    low, high = pl.col(f"{name}_low"), pl.col(f"{name}_high")
    there = rows.filter(low.is_not_null(), high.is_not_null())
    return by_draw(there, (low <= 0) & (high >= 0), draws, missing=None)


def truths(contrast: pl.DataFrame, outputs: pl.DataFrame) -> pl.DataFrame:
    """measure, layer, delta, relative over everything in tables `contrast` and `output_contrast`.

    With D the dissimilarity (1 less a similarity; a divergence as it is), summed over inputs:
    delta = mean(between - paraphrase), relative = sum(between - paraphrase) / sum(other_input - paraphrase).
    """
    similar = contrast.with_columns(d=1 - pl.col("value"))
    apart = outputs.with_columns(d=pl.col("value"), layer=pl.lit(-1, dtype=contrast["layer"].dtype))
    keys = ["scenario", "input", "measure", "layer"]
    columns = [*keys, "contrast", "d"]
    rows = pl.concat([similar.select(columns), apart.select(columns)]).filter(pl.col("d").is_not_null())
    wide = rows.pivot(on="contrast", index=keys, values="d").drop_nulls(["between", "paraphrase", "other_input"])
    return wide.group_by("measure", "layer").agg(
        delta=(pl.col("between") - pl.col("paraphrase")).mean(),
        relative=(pl.col("between") - pl.col("paraphrase")).sum() / (pl.col("other_input") - pl.col("paraphrase")).sum(),
    )


def known_figures(effect, verdict, truth, draws) -> list[Figure]:
    """Two questions. `truth`: effect, measure, layer, delta, relative; `draws`: scenario, effect, wordings."""
    rows = effect.filter(pl.col("contrast") == "paraphrase").drop("relative" if "relative" not in truth.columns else [])
    rows = rows.join(draws, on="scenario").join(truth, on=["effect", "measure", "layer"], suffix="_true")
    figures = []
    scales = [("delta", "ci")] + ([("relative", "relative")] if "relative_low" in rows.columns else [])
    for wordings in sorted(draws["wordings"].unique()):
        wanted = {3: 0.85}.get(wordings, 0.90)
        of_w = draws.filter(pl.col("wordings") == wordings)
        for scale, name in scales:
            for measure in NAMED:
                part = rows.filter(pl.col("wordings") == wordings, pl.col("measure") == measure)
                figures += _coverage(part, of_w, (scale, name), {"wordings": wordings, "measure": measure}, wanted)
        figures += _power(verdict, of_w, wordings)
    return figures


def _coverage(rows, draws, columns, of, wanted) -> list[Figure]:
    scale, name = columns
    true = pl.col(f"{scale}_true") if f"{scale}_true" in rows.columns else pl.col(scale)
    low, high = pl.col(f"{name}_low"), pl.col(f"{name}_high")
    there = rows.filter(low.is_not_null(), high.is_not_null())
    covered = (low <= true) & (true <= high)
    what = f"interval holds the true {scale}"
    names = draws["scenario"].to_list()
    figures = [Figure("known", {"effect": "both", "layer": "all", **of}, what,
                      by_draw(there, covered, names, missing=None), at_least=wanted)]  # fmt: skip
    for effect in sorted(draws["effect"].unique()):
        part = there.filter(pl.col("effect") == effect)
        figures.append(Figure("known", {"effect": effect, "layer": "all", **of}, what,
                              by_draw(part, covered, names, missing=None), at_least=wanted, strict=False))  # fmt: skip
    for layer in sorted(there["layer"].unique()):
        part = there.filter(pl.col("layer") == layer)
        figures.append(Figure("layers", {"effect": "both", "layer": layer, **of}, what,
                              by_draw(part, covered, names, missing=None)))  # fmt: skip
    return figures


def _power(verdict, draws, wordings) -> list[Figure]:
    figures = []
    for effect in sorted(draws["effect"].unique()):
        names = draws.filter(pl.col("effect") == effect)["scenario"].to_list()
        for measure in NAMED:
            rows = verdict.filter(pl.col("measure") == measure, pl.col("scenario").is_in(names))
            for word in ("supported", "not_testable"):
                values = by_draw(rows, pl.col("verdict") == word, names, missing=0.0)
                of = {"effect": effect, "wordings": wordings, "measure": measure}
                figures.append(Figure("power", of, word, values))
    return figures


def equivalent_figures(judged: pl.DataFrame) -> list[Figure]:
    """`judged`: scenario, wordings, measure, layer, scale, verdict under a bound that the true difference
    is just beyond."""
    figures = []
    for (wordings,), part in judged.sort("wordings").group_by(["wordings"], maintain_order=True):
        names = sorted(part["scenario"].unique())
        of = {"wordings": wordings, "measure": "all", "layer": "all", "scale": "all"}
        figures.append(_said(part, names, of, strict=True))
        keys = ["measure", "layer", "scale"]
        for key, cell in part.sort(keys).group_by(keys, maintain_order=True):
            of = {"wordings": wordings, **dict(zip(keys, key, strict=True))}
            figures.append(_said(cell, names, of, strict=False))
    return figures


def _said(rows: pl.DataFrame, names: list[str], of: dict, strict: bool) -> Figure:
    values = by_draw(rows, pl.col("verdict") == "equivalent", names, missing=None)
    return Figure("equivalent", of, "said of a difference beyond the bound", values, at_most=0.025, strict=strict)
