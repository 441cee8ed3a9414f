"""Lays out the sources of the documentation site: the repository's pages and generated ones.

Usage: site.py AQLENS OUT

OUT/source gets every Markdown page that packaging/mkdocs.yml names, in the folders of the
repository, so that links between pages are the same there; the notebook with what its cells give;
and pages for each stage, table, status word and command, made from what the program AQLENS says of
them. OUT/mkdocs.yml is packaging/mkdocs.yml with these pages in it. `make docs` then builds the
site and checks its links.
"""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
CONFIG = ROOT / "packaging" / "mkdocs.yml"
ASSETS = [ROOT / "packaging" / "iframe-worker.js", ROOT / "packaging" / "site.css"]
LINK = re.compile(r"\]\(([^)\s#]+)")

SCOPES = {
    "shard": "on each shard, as soon as it has run",
    "run": "once, over all shards",
    "before": "once, before the first shard, on a sample of the prompts",
}


def said(program, *arguments):
    """What the program prints."""
    command = [program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def cell(text):
    """Text for a cell of a table: one line, and no bar that would end it."""
    return " ".join(str(text).split()).replace("|", "\\|")


def rows(*lines):
    """A Markdown table, its head first."""
    head, *body = lines
    rule = ["---"] * len(head)
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in (head, rule, *body))


class Pages:
    """The generated pages, by their paths below `source`."""

    def __init__(self, program):
        self.program = str(program)
        self.schema = json.loads(said(program, "schema", "--json"))
        self.pipeline = json.loads(said(program, "schema", "--pipeline"))
        self.writers = {
            table: stage["kind"] for stage in self.schema["stages"] for table in stage["writes"]
        }

    def all(self):
        """Every page: path to text."""
        pages = {f"reference/tables/{one['name']}.md": self.table(one) for one in self.tables}
        pages["reference/stages.md"] = self.stages()
        pages["reference/statuses.md"] = self.statuses()
        pages["reference/commands.md"] = self.commands()
        return pages

    @property
    def tables(self):
        return self.schema["tables"]

    def measures(self, table):
        """Links to the pages of measures about a table: those that their list names it for, else
        those that have a query of it."""
        folder = ROOT / "docs" / "measures"
        listed = (folder / "README.md").read_text(encoding="utf-8")
        about = re.findall(rf"(?m)^\| \[.*?\]\((\S+)\) \|.*`{table}`", listed)
        if not about:
            pages = sorted(folder.glob("[!R]*.md"))
            query = f"/tables/{table}/"
            about = [one.name for one in pages if query in one.read_text(encoding="utf-8")]
        titles = [(folder / one).read_text(encoding="utf-8").splitlines()[0] for one in about]
        return [
            f"[{title.removeprefix('# ')}](../../docs/measures/{page})"
            for title, page in zip(titles, about)
        ]

    def table(self, table):
        """A table: what a row is, who writes it, its columns."""
        name = table["name"]
        kind = self.writers[name]
        files = f"RUN/tables/{name}/*.parquet"
        text = [f"# {name}", f"One row per {table['row']}. Version {table['version']}."]
        text.append(f"Written by stage [`{kind}`](../stages.md#{kind}) to `{files}`.")
        about = self.measures(name)
        if about:
            text.append(f"What it means and how to read it: {', '.join(about)}.")
        lines = [("column", "type", "unit", "meaning")]
        for column in table["columns"]:
            star = " *" if column["key"] else ""
            kind = f"`{column['type']}`" + (", may be null" if column["nullable"] else "")
            lines.append((f"`{column['name']}`{star}", kind, column["unit"], cell(column["doc"])))
        text.append(rows(*lines))
        text.append("Columns marked * name a row: no two rows share all of them.")
        if any(column["name"] == "status" for column in table["columns"]):
            text.append("[Status words](../statuses.md) says what `status` may be.")
        text.append(f'```python\npl.scan_parquet("{files}")\n```')
        return "\n\n".join(text) + "\n"

    def stages(self):
        """All stages: when each runs, what it reads and writes, its settings."""
        configs = self.pipeline["$defs"]["StageConfig"]["oneOf"]
        by_kind = {one["properties"]["kind"]["const"]: one for one in configs}
        text = [
            "# Stages",
            "A pipeline's `stages` are done in the order of the file, each kind once; one that "
            "reads what another writes stands below it "
            "([The pipeline file](../pipelines/README.md)).",
        ]
        lines = [("stage", "what it does")]
        sections = []
        for stage in self.schema["stages"]:
            kind = stage["kind"]
            config = by_kind[kind]
            lines.append((f"[`{kind}`](#{kind})", cell(config["description"])))
            sections.append(self.stage(stage, config))
        return "\n\n".join([*text, rows(*lines), *sections]) + "\n"

    def stage(self, stage, config):
        """One stage's section."""
        runs = f"Runs {SCOPES[stage['scope']]}. Version {stage['version']}."
        text = [f"## {stage['kind']}", cell(config["description"]), runs]
        for word, key in (("Reads", "reads"), ("Uses, where it is there,", "reads_if_there")):
            if stage[key]:
                text.append(f"{word} {self.links(stage[key])}.")
        if stage["writes"]:
            text.append(f"Writes {self.links(stage['writes'])}.")
        settings = {key: of for key, of in config["properties"].items() if key != "kind"}
        if settings:
            lines = [("key", "default", "meaning")]
            for key, of in settings.items():
                default = "" if of.get("default") is None else f"`{json.dumps(of['default'])}`"
                lines.append((f"`{key}`", default, self.meaning(of)))
            text.append(rows(*lines))
        return "\n\n".join(text)

    def meaning(self, of):
        """What a setting means, and the words that it may be."""
        words = cell(of.get("description", ""))
        name = of.get("$ref", "").rpartition("/")[2]
        choices = self.pipeline["$defs"].get(name, {}).get("oneOf", [])
        for choice in choices:
            if "const" in choice:
                words += f" `{choice['const']}`: {cell(choice.get('description', ''))}"
        return words

    def links(self, tables):
        return ", ".join(
            f"[`{one}`](tables/{one}.md)" if one in self.writers else f"`{one}`" for one in tables
        )

    def statuses(self):
        """The words of the columns `status`."""
        lines = [(f"`{one['word']}`", cell(one["meaning"])) for one in self.schema["statuses"]]
        text = "A value that cannot be computed is null; its row stays, and `status` says why:"
        return f"# Status words\n\n{text}\n\n{rows(('word', 'meaning'), *lines)}\n"

    def commands(self):
        """The program's own help, of each command."""
        whole = said(self.program, "help")
        listed = re.search(r"Commands:\n(.*?)\n\n", whole, re.DOTALL).group(1)
        names = re.findall(r"(?m)^  (\w+)", listed)
        text = ["# Commands", f"```text\n{whole}```"]
        for name in names:
            if name != "help":
                text.append(f"## {name}\n\n```text\n{said(self.program, 'help', name)}```")
        return "\n\n".join(text) + "\n"


def notebook(source):
    """Executes docs/notebook.ipynb, and writes it with its outputs as docs/notebook.md."""
    read = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    work = source.parent / "notebook"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    resources = {"metadata": {"path": str(work)}}
    NotebookClient(read, timeout=300, kernel_name="python3", resources=resources).execute()
    text, found = MarkdownExporter().from_notebook_node(read)
    for name, data in found["outputs"].items():
        (source / "docs" / name).write_bytes(data)
    (source / "docs" / "notebook.md").write_text(text, encoding="utf-8")


def named(nav):
    """All pages that the navigation names."""
    for one in nav if isinstance(nav, list) else [nav]:
        if isinstance(one, dict):
            for value in one.values():
                yield from named(value)
        else:
            yield one


def copy(path, source):
    """A file of the repository into the sources; of a page also the files that it links to."""
    to = source / path
    to.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix != ".md":
        shutil.copyfile(ROOT / path, to)
        return
    text = (ROOT / path).read_text(encoding="utf-8")
    to.write_text(text.replace("notebook.ipynb)", "notebook.md)"), encoding="utf-8")
    for link in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        linked = (ROOT / path.parent / link).resolve()
        if linked.is_file() and linked.suffix not in (".md", ".ipynb"):
            copy(linked.relative_to(ROOT), source)


def every_page_is_named(pages):
    """No page of the repository is left out of the navigation."""
    listed = subprocess.run(
        ["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    left = sorted(set(listed.stdout.split()) - set(pages))
    if left:
        sys.exit(f"error: packaging/mkdocs.yml names no place for {', '.join(left)}")


def every_table_is_listed(names):
    """The page of tables, which people read in the repository, has every table and no other one."""
    text = (ROOT / "docs" / "tables.md").read_text(encoding="utf-8")
    lines = re.findall(r"(?m)^\| (`.*?) \|", text)
    listed = {name for line in lines for name in re.findall(r"`(\w+)`", line)}
    if listed != set(names):
        wrong = ", ".join(sorted(listed ^ set(names)))
        sys.exit(f"error: docs/tables.md and `aqlens schema` do not have the same tables: {wrong}")


def main():
    program, out = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    source = out / "source"
    shutil.rmtree(source, ignore_errors=True)
    (source / "docs").mkdir(parents=True)
    config = CONFIG.read_text(encoding="utf-8")
    # mkdocs itself reads the tags of its configuration; only the navigation is of interest here.
    head, nav = config.split("\nnav:\n")
    pages = Pages(program)
    generated = pages.all()
    names = [table["name"] for table in pages.tables]
    every_table_is_listed(names)
    of_repository = [one for one in named(yaml.safe_load(nav)) if one not in generated]
    every_page_is_named(of_repository)
    for page in of_repository:
        if page != "docs/notebook.md":
            copy(Path(page), source)
    for path, text in generated.items():
        (source / path).parent.mkdir(parents=True, exist_ok=True)
        (source / path).write_text(text, encoding="utf-8")
    for asset in ASSETS:
        shutil.copyfile(asset, source / asset.name)
    notebook(source)
    tables = "".join(f"      - {name}: reference/tables/{name}.md\n" for name in names)
    before, after = nav.split("      - docs/tables.md\n")
    whole = f"{head}\nnav:\n{before}      - docs/tables.md\n{tables}{after}"
    (out / "mkdocs.yml").write_text(whole, encoding="utf-8")
    print(f"{len(of_repository)} pages of the repository, {len(generated)} generated ones")


if __name__ == "__main__":
    main()
