"""Figures as Markdown tables and as JSON."""

from counts import Figure

TITLES = {
    "null": "No task differs: wordings of one question, dealt at random",
    "known": "A known difference: does the interval hold the truth?",
    "layers": "The same by layer",
    "power": "Verdicts on a known difference",
    "equivalent": "`equivalent` where the true difference lies just beyond the bound",
    "use-null": "Nothing is used",
    "use-known": "A known share: does the interval hold it?",
}


def markdown(figures: list[Figure]) -> str:
    """One table a section."""
    parts = []
    for section, title in TITLES.items():
        rows = [figure for figure in figures if figure.section == section]
        if not rows:
            continue
        # The same for all figures of a section.
        keys = list(rows[0].of)
        head = [*keys, "figure", "draws", "share", "95 % interval", "wanted", "holds"]
        lines = [f"### {title}", "", _line(head), _line(["---"] * len(head))]
        lines += [_line([*(str(row.of[key]) for key in keys), *_cells(row)]) for row in rows]
        parts.append("\n".join(lines))
    return "\n\n".join(parts) + "\n"


def _cells(figure: Figure) -> list[str]:
    low, high = figure.interval()
    holds = {None: "", True: "yes", False: "**NO**"}[figure.holds]
    return [figure.what, str(figure.draws), _share(figure.share), f"{_share(low)} to {_share(high)}", _wanted(figure), holds]


def _wanted(figure: Figure) -> str:
    if figure.at_most is None and figure.at_least is None:
        return ""
    bound = f"at most {figure.at_most:.3f}" if figure.at_most is not None else f"at least {figure.at_least:.2f}"
    return bound if figure.strict else f"({bound})"


def _share(value: float) -> str:
    return f"{value:.3f}"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def as_json(figures: list[Figure]) -> list[dict]:
    """Everything that the tables say."""
    return [
        {
            **{"section": figure.section, "of": figure.of, "figure": figure.what, "draws": figure.draws},
            **{"share": figure.share, "interval": figure.interval(), "at_most": figure.at_most},
            **{"at_least": figure.at_least, "strict": figure.strict, "holds": figure.holds},
        }
        for figure in figures
    ]
