"""The table of docs/measures/design.md: ways to deal wordings out to tasks, and the smallest p by them.

    python tests/calibration/ways.py
"""

from collections import Counter
from math import factorial, prod

DESIGNS = [[2, 2], [2, 3], [3, 3], [3, 4], [3, 5], [4, 4], [5, 5], [6, 6], [2] * 3, [3] * 3, [4] * 3, [2] * 4, [3] * 4, [2] * 5, [3] * 5]


def ways(sizes: list[int]) -> int:
    """All orders, over those within the tasks and those of tasks of one size."""
    return factorial(sum(sizes)) // prod(map(factorial, sizes)) // prod(map(factorial, Counter(sizes).values()))


def table() -> str:
    lines = ["| tasks | wordings of each | ways | smallest p | can be below .05 |", "|---|---|---|---|---|"]
    for sizes in DESIGNS:
        each = str(sizes[0]) if len(set(sizes)) == 1 else " and ".join(map(str, sizes))
        p = 1 / ways(sizes)
        shown = f"{p:.4f}" if p >= 0.00005 else f"{p:.1g}"
        lines.append(f"| {len(sizes)} | {each} | {ways(sizes):,} | {shown} | {'yes' if p < 0.05 else 'no'} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
