"""Checks a built site: every link leads somewhere, and no page loads anything from elsewhere.

Usage: links.py FOLDER

Every link within the site must lead to a file, and where it names a place in it, to an element with
that id. Scripts, styles, fonts, pictures and frames must be files of the site. Links to other sites
are counted, not followed. Exits with 1 after naming every one that is wrong.
"""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

#: Where an element says what the browser fetches by itself.
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
#: Of `link`: what is fetched. Others (canonical, next) are only named.
FETCHED = {"stylesheet", "icon", "preload", "modulepreload", "manifest"}
STYLE_URL = re.compile(r"url\(\s*[\"']?([^\"')]+)|@import\s+[\"']([^\"']+)")


class Page(HTMLParser):
    """What a page links to and loads, and the places in it that can be linked to."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.loads = set(), [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = {key: value or "" for key, value in attrs}
        self.ids |= {found[key] for key in ("id", "name") if key in found and tag != "meta"}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag in LOADS and LOADS[tag] in found:
            fetched = set(found.get("rel", "").split()) & FETCHED or tag != "link"
            if fetched:
                self.loads.append(found[LOADS[tag]])
        self.loads += [a or b for a, b in STYLE_URL.findall(found.get("style", ""))]

    handle_startendtag = handle_starttag


def is_elsewhere(address):
    """Whether an address is no place of this site."""
    parts = urlsplit(address)
    return bool(parts.scheme or parts.netloc)


class Site:
    """All files below a folder."""

    def __init__(self, root):
        self.root = root.resolve()
        files = sorted(self.root.rglob("*.html"))
        self.pages = {file: Page(file.read_text(encoding="utf-8")) for file in files}
        self.n_links = self.n_elsewhere = 0
        self.wrong = []

    def check(self):
        """Fills `wrong`."""
        for file, page in self.pages.items():
            for address in page.loads:
                self.load(file, address)
            for address in page.links:
                self.link(file, address)
        for file in sorted(self.root.rglob("*.css")):
            for first, second in STYLE_URL.findall(file.read_text(encoding="utf-8")):
                self.load(file, first or second)

    def target(self, file, address):
        """The file that an address means, seen from another one."""
        path = unquote(urlsplit(address).path)
        base = self.root if path.startswith("/") else file.parent
        return (base / path.lstrip("/")).resolve() if path else file

    def load(self, file, address):
        if address.startswith(("data:", "#")):
            return
        if is_elsewhere(address) or not self.target(file, address).is_file():
            self.say(file, f"loads {address}, which is no file of the site")

    def link(self, file, address):
        if is_elsewhere(address):
            self.n_elsewhere += 1
            if urlsplit(address).scheme not in ("http", "https", "mailto"):
                self.say(file, f"links to {address}, which no browser follows")
            return
        self.n_links += 1
        # The page for what is not found is shown at any address, and so links from the root.
        if file.name == "404.html":
            return
        target = self.target(file, address)
        place = unquote(urlsplit(address).fragment)
        if not target.is_file() or self.root not in target.parents:
            self.say(file, f"links to {address}, and there is no such file")
        elif place and target in self.pages and place not in self.pages[target].ids:
            self.say(file, f"links to {address}, and that page has no place of this name")

    def say(self, file, what):
        self.wrong.append(f"{file.relative_to(self.root)} {what}")


def main():
    site = Site(Path(sys.argv[1]))
    site.check()
    for line in site.wrong:
        print(f"error: {line}", file=sys.stderr)
    if not site.pages:
        sys.exit(f"error: {sys.argv[1]} has no pages")
    print(
        f"{len(site.pages)} pages: {site.n_links} links inside, {len(site.wrong)} mistakes "
        f"in them or in what pages load; {site.n_elsewhere} links to other sites, not followed"
    )
    sys.exit(1 if site.wrong else 0)


if __name__ == "__main__":
    main()
