"""Which process is started next, and what its end means: what a driver knows without any engine.

Workers join: each takes whatever shard is free. A shard on which a process failed or was lost is
done alone from then on, so that a shard that kills its process takes nothing else with it; after
as many tries as are allowed it is given up and named, and the rest goes on.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

#: Seconds before a machine is tried again on which the program could not work for now.
PAUSE = 5.0


@dataclass
class Node:
    """A machine of the cluster."""

    host: str
    slots: int
    """How many processes it takes at once."""
    strikes: int = 0
    """How often in a row a process could not work there."""
    rests_until: float = 0.0
    unfit: tuple[int, str] | None = None
    """Why it is given no work any more: exit code and words."""


@dataclass(frozen=True)
class Job:
    """A process on a machine."""

    number: int
    node: str
    shard: int | None = None
    """The one shard that it does alone; None: whatever is free."""
    finishes: bool = False

    @property
    def name(self) -> str:
        """Its name in logs."""
        what = (
            "finish" if self.finishes else "join" if self.shard is None else f"shard-{self.shard}"
        )
        return f"{self.number:04}-{what}"


@dataclass
class Board:
    """Jobs, machines and shards.

    Args:
        tries: how often a shard is tried before it is given up.
        most: how many processes may run at once, whatever room there is; None: any number.
    """

    tries: int = 3
    most: int | None = None
    nodes: dict[str, Node] = field(default_factory=dict)
    running: dict[Job, float] = field(default_factory=dict)
    failures: dict[int, list[str]] = field(default_factory=dict)
    """By shard, what was said each time."""
    shards: int = 0
    """How many shards the run has, once that is known."""
    finished: dict[str, Any] | None = None
    """How `--finish` ended, when it did its work."""
    _suspects: set[int] = field(default_factory=set)
    _joined: int = 0
    _next: int = 0
    _refused: int = 0
    _has_nothing: bool = False
    """Whether a process that joined found nothing to do, and nobody at work on anything."""

    def see(self, nodes: Mapping[str, tuple[str, int]]) -> None:
        """Takes over which machines there are: host and slots by id; one that was gone is new."""
        for gone in set(self.nodes) - set(nodes):
            del self.nodes[gone]
        for name, (host, slots) in nodes.items():
            node = self.nodes.setdefault(name, Node(host, slots))
            node.slots = slots

    @property
    def given_up(self) -> dict[int, str]:
        """Shards that failed too often, with what was said last."""
        return {
            shard: said[-1] for shard, said in sorted(self.failures.items()) if self._is_over(shard)
        }

    def _is_over(self, shard: int) -> bool:
        return len(self.failures.get(shard, ())) >= self.tries

    def start(self, progress: Mapping[str, Any] | None, now: float | None = None) -> list[Job]:
        """The jobs to start now; `progress` is what `aqlens status --json` says, if it is known."""
        now = time.monotonic() if now is None else now
        self.shards = int(progress["shards"]) if progress else self.shards
        slots = self._free_slots(now)
        jobs = []
        for shard in sorted(self._suspects):
            if any(job.shard == shard for job in self.running) or self._is_over(shard):
                continue
            if slots:
                jobs.append(self._job(slots.pop(0), now, shard=shard))
        wanted = self._wanted(progress, len(slots))
        jobs += [self._job(slots.pop(0), now) for _ in range(min(wanted, len(slots)))]
        is_all = progress is not None and not free(progress["missing"], self.given_up)
        if (
            (is_all or self._has_nothing)
            and not self.running
            and not self.failures_left()
            and self.finished is None
        ):
            jobs += [self._job(slot, now, finishes=True) for slot in slots[:1] if not self.given_up]
        return jobs

    def failures_left(self) -> set[int]:
        """Shards that are still to be tried alone."""
        return {shard for shard in self._suspects if not self._is_over(shard)}

    def _wanted(self, progress: Mapping[str, Any] | None, slots: int) -> int:
        """How many more processes to have join."""
        joining = sum(job.shard is None and not job.finishes for job in self.running)
        if progress is None or not self._joined:
            # Which receipts hold, only the program knows: the first ones look.
            return 0 if joining else slots
        if self._has_nothing:
            return 0
        held = {one["shard"] for one in progress["held"]}
        waiting = free(progress["missing"], {*held, *self._suspects, *self.given_up})
        # Those that join may be about to take them.
        return max(0, waiting - joining)

    def _free_slots(self, now: float) -> list[str]:
        """Machines, once for each process that they take more, the emptiest first."""
        used = {name: sum(job.node == name for job in self.running) for name in self.nodes}
        fit = {
            name: node
            for name, node in self.nodes.items()
            if node.unfit is None and node.rests_until <= now
        }
        places = [(n, name) for name, node in fit.items() for n in range(used[name], node.slots)]
        room = None if self.most is None else max(0, self.most - len(self.running))
        return [name for _, name in sorted(places)][:room]

    def _job(self, node: str, now: float, shard: int | None = None, finishes: bool = False) -> Job:
        job = Job(self._next, node, shard, finishes)
        self._next += 1
        self._joined += shard is None and not finishes
        self.running[job] = now
        return job

    def words(self, job: Job) -> list[str]:
        """The options with which the job's process runs."""
        if job.finishes:
            return ["--finish"]
        if job.shard is not None:
            return ["--shards", str(job.shard), "--quiet"]
        if not self._suspects:
            return ["--join", "--quiet"]
        return ["--join", "--shards", all_but(self._suspects, self.shards), "--quiet"]

    def ended(self, job: Job, outcome: Mapping[str, Any], now: float | None = None) -> None:
        """Takes over how a job ended: ``code``, ``text``, ``end`` and ``open`` as a worker says."""
        now = time.monotonic() if now is None else now
        self.running.pop(job, None)
        node = self.nodes.get(job.node, Node("a machine that is gone", 0))
        code, text = int(outcome["code"]), str(outcome["text"])
        end = outcome.get("end") or {}
        self._has_nothing = False
        if code in (0, 3):
            node.strikes = 0
            is_idle = end.get("parts_written") == 0 and end.get("left") == ""
            self._has_nothing = is_idle and job.shard is None
            self._suspects.discard(job.shard if job.shard is not None else -1)
            if job.finishes:
                self.finished = dict(outcome)
        elif "missing" in end:
            # Receipts that do not hold any more: those who join do them.
            self._refused += 1
            self._joined = 0
            if self._refused >= self.tries:
                node.unfit = (code, text)
        elif code in (75, 130):
            self._rest(node, now, (75, text))
        elif code == 2:
            node.unfit = (code, text)
        elif isinstance(end.get("shard"), int):
            self._failed(end["shard"], text)
        elif code < 0 or not end:
            lost = [job.shard] if job.shard is not None else list(outcome["open"])
            for shard in lost:
                self._failed(shard, text)
            if not lost:
                self._rest(node, now, (1, text))
        else:
            node.unfit = (code, text)

    def _failed(self, shard: int, text: str) -> None:
        self._suspects.add(shard)
        self.failures.setdefault(shard, []).append(text)

    def _rest(self, node: Node, now: float, why: tuple[int, str]) -> None:
        node.strikes += 1
        node.rests_until = now + PAUSE * node.strikes
        if node.strikes >= self.tries:
            node.unfit = why

    @property
    def unfit(self) -> dict[str, tuple[int, str]]:
        """Machines that get no work any more, by host, with exit code and reason."""
        return {node.host: node.unfit for node in self.nodes.values() if node.unfit is not None}

    @property
    def is_stuck(self) -> bool:
        """Whether nothing runs and no machine is left that could run anything."""
        return not self.running and all(node.unfit is not None for node in self.nodes.values())


def ranges(text: str) -> list[tuple[int, int]]:
    """`3,7,12-20` as first and last of each range."""
    pieces = [piece.partition("-") for piece in text.split(",") if piece]
    return [(int(first), int(last or first)) for first, _, last in pieces]


def free(missing: str, taken: Sequence[int] | set[int] | Mapping[int, str]) -> int:
    """How many of the missing shards are not taken."""
    within = ranges(missing)
    n = sum(last - first + 1 for first, last in within)
    return n - sum(any(first <= shard <= last for first, last in within) for shard in set(taken))


def all_but(taken: set[int], shards: int) -> str:
    """All of a run's shards but these, as the program's `--shards` reads it."""
    pieces, first = [], 0
    for shard in [*sorted(taken), shards]:
        if first < shard:
            pieces.append(str(first) if first == shard - 1 else f"{first}-{shard - 1}")
        first = shard + 1
    return ",".join(pieces)
