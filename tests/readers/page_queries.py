"""Runs the queries of pages: each ```sql block with DuckDB, each ```python block with polars.

Usage: page_queries.py FOLDER LEAST PAGE...

FOLDER is where the queries' paths begin; every page has at least LEAST queries of each kind, and
every query gives at least one row.
"""

import os
import re
import sys

import duckdb
import polars as pl


def main() -> None:
    folder, least, *pages = sys.argv[1:]
    texts = {page: open(page, encoding="utf-8").read() for page in pages}
    os.chdir(folder)
    for page, text in texts.items():
        print(page)
        check(text, int(least))


def check(text: str, least: int) -> None:
    """Every query of a page answers."""
    queries = re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
    scripts = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(queries) >= least, f"the page has {len(queries)} DuckDB queries, not {least}"
    assert len(scripts) >= least, f"the page has {len(scripts)} polars queries, not {least}"
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
