"""Chromium's DevTools protocol over a pipe, with the standard library alone."""

import fcntl
import json
import os
import select
import shutil
import subprocess
import tempfile
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--no-first-run",
    "--no-default-browser-check",
    "--mute-audio",
    "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
    "about:blank",
)


class BrowserError(Exception):
    """The browser is not there, or did not do what it was told."""


def find_browser():
    """Path of a Chromium, from CHROMIUM or the usual names."""
    named = os.environ.get("CHROMIUM")
    for name in (named,) if named else NAMES:
        path = shutil.which(name)
        if path:
            return path
    raise BrowserError(
        "no Chromium found: install it (Debian: apt-get install chromium) or name it in CHROMIUM"
    )


class Browser:
    """A headless Chromium with one page; use as a context manager."""

    def __init__(self, seconds=60.0):
        self.deadline = time.monotonic() + seconds
        self.events = []
        self.number = 0
        self.buffer = b""
        self.session = None

    def __enter__(self):
        browser = find_browser()
        self.folder = tempfile.TemporaryDirectory(prefix="aqlens-browser-", ignore_cleanup_errors=True)
        # Chromium reads commands from descriptor 3 and answers on 4. The pipes' own descriptors are
        # moved out of the way first, and stay open until the child has its copies.
        pipes = [*os.pipe(), *os.pipe()]
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 20) for fd in pipes]
        read_commands, self.commands, self.answers, write_answers = ends

        def connect():
            os.dup2(read_commands, 3)
            os.dup2(write_answers, 4)

        self.process = subprocess.Popen(
            [browser, f"--user-data-dir={self.folder.name}", *FLAGS],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            close_fds=False,
            preexec_fn=connect,
            env={**os.environ, "HOME": self.folder.name},
        )
        for fd in (*pipes, read_commands, write_answers):
            os.close(fd)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        return self

    def __exit__(self, *_):
        try:
            self.session = None
            self.send("Browser.close")
            self.process.wait(10)
        except (OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        os.close(self.commands)
        os.close(self.answers)
        self.folder.cleanup()

    def send(self, method, **params):
        """Sends a command without waiting for its answer."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.commands, data) :]
        return self.number

    def call(self, method, **params):
        """Sends a command and gives its result; events meanwhile go to `events`."""
        number = self.send(method, **params)
        while True:
            message = self.receive()
            if message.get("id") == number:
                if "error" in message:
                    raise BrowserError(f"{method}: {message['error'].get('message')}")
                return message["result"]
            if "method" in message:
                self.events.append(message)

    def wait_for(self, method):
        """Waits for an event; all events stay in `events`."""
        while not any(event["method"] == method for event in self.events):
            message = self.receive()
            if "method" in message:
                self.events.append(message)

    def evaluate(self, expression):
        """The value of a JavaScript expression on the page."""
        result = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in result:
            raise BrowserError(f"the check itself failed: {result['exceptionDetails']}")
        return result["result"]["value"]

    def receive(self):
        while b"\0" not in self.buffer:
            left = self.deadline - time.monotonic()
            if left <= 0 or not select.select([self.answers], [], [], left)[0]:
                raise BrowserError("Chromium did not answer in time")
            data = os.read(self.answers, 1 << 16)
            if not data:
                raise BrowserError("Chromium ended before the check did")
            self.buffer += data
        message, _, self.buffer = self.buffer.partition(b"\0")
        return json.loads(message)
