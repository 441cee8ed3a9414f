"""Runs the README's own queries: each ```sql block with DuckDB, each ```python block with polars.

Usage: readme_queries.py README FOLDER      (FOLDER holds runs/experiment-037)
"""

import os
import re
import sys

import duckdb
import polars as pl


def main() -> None:
    text = open(sys.argv[1], encoding="utf-8").read()
    os.chdir(sys.argv[2])
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    scripts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(queries) >= 3, f"the README has {len(queries)} DuckDB queries, not three"
    assert len(scripts) >= 3, f"the README has {len(scripts)} polars queries, not three"
    for query in queries:
        rows = duckdb.sql(query).fetchall()
        print(query, *rows[:5], sep="\n")
        assert rows, f"no row from:\n{query}"
    names: dict = {"pl": pl}
    for script in scripts:
        *statements, last = [line for line in re.split(r"\n(?=\S)", script.strip()) if line]
        closing = last.strip() == ")"
        if closing:
            statements, last = statements[:-1], statements[-1] + "\n" + last
        exec("\n".join(statements), names)
        frame = eval(last.split("=", 1)[1] if re.match(r"\w+ = ", last) else last, names)
        print(script, frame, sep="\n")
        assert frame.height > 0, f"no row from:\n{script}"


if __name__ == "__main__":
    main()
