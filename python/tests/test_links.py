"""packaging/links.py finds every kind of mistake in a site that it is there to find."""

import subprocess
import sys

import pytest
from conftest import ROOT

GOOD = """<!doctype html><link rel="stylesheet" href="a.css"><link rel="canonical" href="https://x.y/">
<h2 id="top">T</h2><a href="b.html#place">b</a> <a href="https://example.org">elsewhere</a>
<img src="data:image/png;base64,AA=="><script src="a.js"></script>"""


def check(folder, page=GOOD, style="p { color: red }"):
    (folder / "a.html").write_text(page)
    (folder / "b.html").write_text('<a id="place" href="a.html"></a>')
    (folder / "a.css").write_text(style)
    (folder / "a.js").write_text("")
    command = [sys.executable, str(ROOT / "packaging" / "links.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_site_without_mistakes_passes(tmp_path):
    ended = check(tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert (
        "2 pages: 2 links inside, 0 mistakes" in ended.stdout
        and "; 1 links to other sites" in ended.stdout
    )


@pytest.mark.parametrize(
    "change",
    [
        ("b.html#place", "c.html"),
        ("b.html#place", "b.html#nowhere"),
        ("b.html#place", "#nowhere"),
        ("b.html#place", "javascript:void(0)"),
        ("b.html#place", "../a.html"),
        ('src="a.js"', 'src="https://example.org/a.js"'),
        ('src="a.js"', 'src="//example.org/a.js"'),
        ('src="a.js"', 'src="c.js"'),
        ('href="a.css"', 'href="https://fonts.example.org/css"'),
        ("data:image/png;base64,AA==", "https://example.org/a.png"),
    ],
    ids=lambda change: change[1],
)
def test_each_mistake_is_named(change, tmp_path):
    (tmp_path / "a.html").write_text("above the site")
    site = tmp_path / "site"
    site.mkdir()
    page = GOOD.replace(*change)
    assert page != GOOD
    ended = check(site, page)
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    named = change[1].partition("=")[2].strip('"') or change[1]
    assert line.startswith("error: a.html ") and named in line, line


def test_a_font_from_elsewhere_in_a_style_is_found(tmp_path):
    ended = check(tmp_path, style="@font-face { src: url('https://example.org/f.woff2') }")
    assert ended.returncode == 1 and "a.css loads https://example.org/f.woff2" in ended.stderr


def test_a_folder_without_pages_is_no_site(tmp_path):
    command = [sys.executable, str(ROOT / "packaging" / "links.py"), str(tmp_path)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
