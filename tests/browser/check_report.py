"""Opens a report in headless Chromium and checks that a reader would see all of it.

    check_report.py REPORT.html SCREENSHOT.png [--width 1280] [--scheme light|dark] [--height N]

Checked, on a laptop's and a phone's width, in light and in dark: every picture is drawn and nothing
of it is cut off, no labels overlap, the page is no wider than the window, the console has
no error, and nothing but the file itself is asked for (once as the page is, once with its own
Content-Security-Policy switched off). What opens on demand is opened. Exits with 0 when all holds, 1 when not, 2 when the check
could not be made. Needs Chromium and the Python standard library.
"""

import argparse
import base64
import pathlib
import sys

from devtools import Browser, BrowserError

# Height of the window in pixels.
WINDOW = 900
VIEWS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]

# What is wrong with the pictures of the page in the window now: a list of sentences.
INSPECT = r"""
(() => {
  const problems = [];
  // What opens on demand is checked too.
  for (const details of document.querySelectorAll('details')) details.open = true;
  const pictures = [...document.querySelectorAll('svg')];
  if (pictures.length === 0) problems.push('the page has no picture');
  if (document.querySelectorAll('h1').length !== 1) problems.push('the page does not have exactly one h1');
  const SHAPES = 'rect, line, circle, polyline, polygon, path';
  pictures.forEach((svg, index) => {
    const title = svg.querySelector('title');
    const name = `picture ${index + 1} (${title ? title.textContent : 'without a title'})`;
    const box = svg.getBoundingClientRect();
    if (!title) problems.push(`${name} has no title`);
    if (svg.getAttribute('role') !== 'img') problems.push(`${name} does not have the role of an image`);
    if (box.width < 1 || box.height < 1) { problems.push(`${name} has no size`); return; }
    const shapes = [...svg.querySelectorAll(SHAPES)];
    const drawn = shapes.filter((shape) => {
      const b = shape.getBBox();
      const style = getComputedStyle(shape);
      const painted = style.fill !== 'none' || style.stroke !== 'none';
      return painted && (b.width > 0 || b.height > 0);
    });
    if (drawn.length === 0) problems.push(`${name} has nothing drawn in it`);
    const texts = [...svg.querySelectorAll('text')].filter((text) => text.textContent !== '');
    const boxes = texts.map((text) => text.getBoundingClientRect());
    texts.forEach((text, i) => {
      const b = boxes[i];
      if (b.width < 1 || b.height < 1) problems.push(`${name}: text "${text.textContent}" has no size`);
      const out = Math.max(box.left - b.left, b.right - box.right, box.top - b.top, b.bottom - box.bottom);
      if (out > 0.5) problems.push(`${name}: text "${text.textContent}" is cut off by ${out.toFixed(1)} px`);
    });
    for (const text of svg.querySelectorAll('g > rect.part ~ text, g > rect.tile ~ text')) {
      const [a, b] = [text.getBoundingClientRect(), text.parentNode.querySelector('rect').getBoundingClientRect()];
      const out = Math.max(b.left - a.left, a.right - b.right);
      if (out > 0.5) problems.push(`${name}: number "${text.textContent}" is ${out.toFixed(1)} px wider than its box`);
    }
    const level = texts.map((_, i) => i).filter((i) => !texts[i].hasAttribute('transform'));
    for (const i of level) for (const j of level) {
      if (i >= j) continue;
      const [a, b] = [boxes[i], boxes[j]];
      const wide = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const high = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (wide > 1.5 && high > 4) problems.push(
        `${name}: texts "${texts[i].textContent}" and "${texts[j].textContent}" overlap`);
    }
  });
  for (const token of document.querySelectorAll('.tok')) {
    const b = token.getBoundingClientRect();
    if (b.width < 1 || b.height < 1) problems.push(`token "${token.textContent}" has no size`);
  }
  const root = document.scrollingElement;
  if (root.scrollWidth > root.clientWidth + 1) {
    const widest = [...document.querySelectorAll('body *')]
      .filter((e) => e.getBoundingClientRect().right > root.clientWidth + 1 && !e.closest('.scroll, pre'))
      .map((e) => `${e.tagName.toLowerCase()}.${e.getAttribute('class') || ''}`);
    problems.push(`the page is ${root.scrollWidth} px wide in a window of ${root.clientWidth} px `
      + `(${[...new Set(widest)].slice(0, 5).join(', ')})`);
  }
  return problems;
})()
"""

# Whether ink can be read on paper: the page's own colours, WCAG contrast.
CONTRAST = r"""
(() => {
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\d.]+/g).slice(0, 3).map((c) => {
      const s = c / 255;
      return s <= 0.04045 ? s / 12.92 : ((s + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const style = getComputedStyle(document.body);
  const [a, b] = [luminance(style.color), luminance(style.backgroundColor)].sort((x, y) => y - x);
  return (a + 0.05) / (b + 0.05);
})()
"""


def set_view(browser, width, scheme):
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=width,
        height=WINDOW,
        deviceScaleFactor=1,
        mobile=False,
    )
    feature = {"name": "prefers-color-scheme", "value": scheme}
    browser.call("Emulation.setEmulatedMedia", features=[feature])


def open_page(browser, url):
    """Loads the page and waits until it is there with everything it asked for."""
    browser.events.clear()
    browser.call("Page.navigate", url=url)
    browser.wait_for("Page.loadEventFired")
    # Events of the load are sent in order: an answer to a later command comes after them.
    browser.evaluate("document.readyState")


def open_in_view(browser, url, width, scheme):
    """Loads the page into a window of that width: a long page that is there takes a minute to fit a new one."""
    open_page(browser, "about:blank")
    set_view(browser, width, scheme)
    open_page(browser, url)


def heard(browser, url):
    """Problems in the events of a load: console errors, exceptions, requests."""
    for event in browser.events:
        method, params = event["method"], event["params"]
        if method == "Network.requestWillBeSent":
            asked = params["request"]["url"]
            if asked != url:
                yield f"the page asks for {asked[:200]}"
        elif method == "Runtime.exceptionThrown":
            yield f"an exception: {params['exceptionDetails'].get('text')}"
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "assert"):
            words = " ".join(str(arg.get("value", arg.get("description"))) for arg in params["args"])
            yield f"the console has an error: {words}"
        elif method == "Log.entryAdded" and params["entry"]["level"] == "error":
            yield f"the console has an error: {params['entry']['text']}"


def save_screenshot(browser, target, height):
    size = browser.call("Page.getLayoutMetrics")["cssContentSize"]
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height, size["height"]), "scale": 1}
    # Beyond its window Chromium lays out all of the page, of a long one for a minute.
    beyond = clip["height"] > WINDOW
    shot = browser.call("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=beyond)
    target.write_bytes(base64.b64decode(shot["data"]))


def check(report, screenshot, width=1280, scheme="light", height=16000):
    """Everything that is wrong with a report, as sentences; writes its picture."""
    url = report.resolve().as_uri()
    problems = []
    with Browser() as browser:
        for domain in ("Page", "Runtime", "Log", "Network"):
            browser.call(f"{domain}.enable")
        for without_policy in (True, False):
            browser.call("Page.setBypassCSP", enabled=without_policy)
            open_page(browser, url)
            problems += heard(browser, url)
        for view_width, view_scheme in VIEWS:
            open_in_view(browser, url, view_width, view_scheme)
            found = browser.evaluate(INSPECT)
            contrast = browser.evaluate(CONTRAST)
            if contrast < 7:
                found.append(f"ink on paper has a contrast of {contrast:.1f} only")
            problems += [f"{view_width} px, {view_scheme}: {problem}" for problem in found]
        open_in_view(browser, url, width, scheme)
        pictures = browser.evaluate("document.querySelectorAll('svg').length")
        save_screenshot(browser, screenshot, height)
    return list(dict.fromkeys(problems)), pictures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("report", type=pathlib.Path)
    parser.add_argument("screenshot", type=pathlib.Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    parser.add_argument("--height", type=int, default=16000, help="cut the picture off here")
    args = parser.parse_args()
    if not args.report.is_file():
        parser.error(f"{args.report} is not a file")
    try:
        problems, pictures = check(
            args.report, args.screenshot, args.width, args.scheme, args.height
        )
    except BrowserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for problem in problems[:40]:
        print(f"{args.report}: {problem}", file=sys.stderr)
    if problems:
        print(f"{args.report}: {len(problems)} problems", file=sys.stderr)
        return 1
    print(f"{args.report}: {pictures} pictures drawn, no console error, no request; {args.screenshot}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
