"""What a run says, as `summary.json` has it."""

from __future__ import annotations

from typing import Any, NamedTuple

from aqlens import _html

#: The measure of the notebook's own verdict: one raw cosine of flattened activations, without a
# baseline.
NOTEBOOK = "notebook"


class Verdict(NamedTuple):
    """One verdict about one scenario.

    Attributes:
        measure: ``"notebook"`` for the notebook's own rule, else a measure of table ``effect``.
        verdict: ``supported``, ``not_supported`` or ``not_testable`` by the notebook's rule; by a
            measure ``supported``, ``equivalent``, ``undecided`` or ``not_testable``.
        layer: where the numbers are from; -1 is the model's output.
        value: the notebook's mean cosine; of a measure how much further apart prompts of different
            tasks are than wordings of one, as a dissimilarity.
        ci_low, ci_high: the 95 % interval of that difference; none for the notebook's rule.
        p: over inputs, corrected over all measures and layers that are judged.
        reason: why, in a sentence.

    A number is None where there is none.
    """

    scenario: str
    measure: str
    verdict: str
    layer: int | None
    value: float | None
    ci_low: float | None
    ci_high: float | None
    p: float | None
    reason: str


class Verdicts(tuple[Verdict, ...]):
    """All verdicts of a run, scenario by scenario, the notebook's first; a table of them in a
    notebook."""

    @classmethod
    def of(cls, summary: dict[str, Any]) -> Verdicts:
        """Those of `summary.json`."""
        found: list[Verdict] = []
        for scenario in summary["scenarios"]:
            name = scenario["scenario"]
            found.append(_verdict(name, NOTEBOOK, scenario, scenario["value"]))
            found += [
                _verdict(name, one["measure"], one, one["delta"])
                for one in scenario.get("evidence", [])
            ]
        return cls(found)

    def about(self, scenario: str, measure: str | None = None) -> Verdicts:
        """Those of one scenario, or of one measure of it."""
        return Verdicts(
            one for one in self if one.scenario == scenario and measure in (None, one.measure)
        )

    def __str__(self) -> str:
        return "\n".join(
            f"{one.scenario}, {one.measure}: {one.verdict} ({one.reason})" for one in self
        )

    def _repr_html_(self) -> str:
        return _html.table(Verdict._fields, self)


def _verdict(scenario: str, measure: str, said: dict[str, Any], value: float | None) -> Verdict:
    return Verdict(
        scenario,
        measure,
        said["verdict"],
        said.get("layer"),
        value,
        said.get("ci_low"),
        said.get("ci_high"),
        said.get("p"),
        said["reason"],
    )
