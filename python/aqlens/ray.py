"""`python -m aqlens.ray PIPELINE --run-dir DIR`: a run on all machines of a Ray cluster.

Every worker is the program itself, which joins the run: it takes whatever shard is free, opens the
model once and keeps it. Ray starts the workers, says which machines there are and which were lost;
nothing of the data goes through it. All machines must see the pipeline, the model, the inputs and
the run directory at the same paths, and have this package. Without a cluster, this machine is one.

What a worker that is lost was working on is done by another. Shards that fail are tried again
alone, three times in all; what is left of the run is done all the same, and the end names them.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from aqlens import _work
from aqlens._board import Board, Job, free
from aqlens._errors import AqlensError
from aqlens._program import ended_of
from aqlens._signals import Signals

#: Seconds between two looks at the tasks, and at how far the run is.
LOOK, STATUS = 0.2, 1.0
#: Seconds that workers have to stop when the driver is asked to.
STOP = 30.0
#: What to look at where there is no cluster.
CONNECT = (
    "\nSee that it runs and that --address (or RAY_ADDRESS) names it. If it asks for a token, set "
    "RAY_AUTH_MODE=token, and RAY_AUTH_TOKEN_PATH where the file is not ~/.ray/auth_token"
)


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m aqlens.ray",
        description="Run a pipeline on the machines of a Ray cluster, or on this one.",
        epilog="Exit codes are the program's: 0 done, 1 failed, 2 the pipeline or the command is "
        "wrong, 3 done with skipped prompts, 75 not now, 130 interrupted (the same command "
        "continues).",
    )
    parser.add_argument("pipeline", help="the pipeline file (YAML)")
    parser.add_argument("--run-dir", required=True, help="where the run goes; all machines see it")
    parser.add_argument("--address", help="the cluster, as for ray.init (default: RAY_ADDRESS, the "
                        "one that runs here, or else a new one on this machine)")  # fmt: skip
    parser.add_argument("--num-cpus", type=int, help="cores of a worker (default: a machine's)")
    parser.add_argument("--num-gpus", type=float, default=0, help="GPUs of a worker (default: 0)")
    parser.add_argument("--workers", type=int, help="workers at once (default: as many as fit)")
    parser.add_argument("--threads", type=int, help="threads of a worker (default: its cores)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="sets",
                        help="set a field of the pipeline, as for aqlens run")  # fmt: skip
    parser.add_argument("--provider", help="what to run the model on, as for aqlens run")
    parser.add_argument("--tries", type=int, default=3, help="tries a shard (default: 3)")
    parser.add_argument("--patience", type=float, default=60, metavar="SECONDS",
                        help="how long to wait while no machine fits (default: 60)")  # fmt: skip
    parser.add_argument("--logs", help="folder for each worker's log (default: RUN_DIR.logs)")
    parser.add_argument("--quiet", action="store_true", help="do not print the results at the end")
    options = parser.parse_args(words)
    for name in ("num_cpus", "workers", "threads", "tries"):
        if (value := getattr(options, name)) is not None and value < 1:
            parser.error(f"--{name.replace('_', '-')} {value}: it must be 1 or more")
    options.run_dir = os.path.abspath(options.run_dir)
    logs = options.logs or options.run_dir.rstrip("/") + ".logs"
    options.logs = os.path.join(os.path.abspath(logs), time.strftime("%Y%m%d-%H%M%S"))
    return options


class Cluster:
    """Ray: machines and tasks."""

    def __init__(self, options: argparse.Namespace) -> None:
        try:
            import ray
        except ImportError as error:
            raise AqlensError(
                "ray is not installed: pip install 'aqlens[ray]'", exit_code=2
            ) from error
        self.ray, self.options = ray, options
        # A cluster that is started here reports to nobody.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            ray.init(
                address=options.address, logging_level="ERROR", log_to_driver=False,
                configure_logging=True,
            )  # fmt: skip
        except (
            ConnectionError, RuntimeError, ValueError, ray.exceptions.AuthenticationError
        ) as error:  # fmt: skip
            raise AqlensError(f"no Ray cluster: {error}{CONNECT}", exit_code=2) from error
        # So that machines need no package of this very version to receive the function.
        ray.cloudpickle.register_pickle_by_value(_work)
        self.tasks: dict[Any, Job] = {}
        self.cpus = options.num_cpus or self._cpus()

    def _nodes(self) -> list[dict[str, Any]]:
        return [node for node in self.ray.nodes() if node["Alive"]]

    def _cpus(self) -> int:
        """A worker's cores where none are named: a machine's, shared out over its GPUs."""
        gpus = self.options.num_gpus
        cores = []
        for node in self._nodes():
            cpu, gpu = node["Resources"].get("CPU", 0), node["Resources"].get("GPU", 0)
            workers = int(gpu / gpus) if gpus else 1
            if cpu >= 1 and workers:
                cores.append(max(1, int(cpu / workers)))
        return min(cores, default=1)

    def nodes(self) -> dict[str, tuple[str, int]]:
        """Host and number of workers that fit, by machine."""
        found = {}
        for node in self._nodes():
            has, gpus = node["Resources"], self.options.num_gpus
            fit = int(has.get("CPU", 0) // self.cpus)
            if gpus:
                fit = min(fit, int(has.get("GPU", 0) / gpus))
            if fit:
                host = f"{node['NodeManagerHostname']} ({node['NodeManagerAddress']})"
                found[node["NodeID"]] = (host, fit)
        return found

    def submit(self, job: Job, words: list[str], log: str) -> None:
        """Has a machine run the program."""
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        task = self.ray.remote(_work.work).options(
            num_cpus=self.cpus, num_gpus=self.options.num_gpus, max_retries=0, name=job.name,
            scheduling_strategy=NodeAffinitySchedulingStrategy(job.node, soft=False),
        )  # fmt: skip
        self.tasks[task.remote(words, log, os.getcwd())] = job

    def ended(self, logs: str) -> Iterator[tuple[Job, dict[str, Any]]]:
        """The jobs that have ended, and how; waits a moment for one."""
        if not self.tasks:
            time.sleep(LOOK)
            return
        done, _ = self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=LOOK)
        for reference in done:
            job = self.tasks.pop(reference)
            try:
                outcome = self.ray.get(reference)
            except self.ray.exceptions.RayError as error:
                told = _work.told(os.path.join(logs, f"{job.name}.jsonl"))
                said = str(error).strip().splitlines()
                why = said[0] if said else "no reason given"
                text = f"the worker was lost ({type(error).__name__}: {why})"
                outcome = {"code": -9, "text": text, "end": None, "open": told.open}
            yield job, outcome

    def stop(self) -> None:
        """Has every worker stop where nothing is half done, and waits for that."""
        for reference in self.tasks:
            with contextlib.suppress(Exception):
                self.ray.cancel(reference, force=False)
        if self.tasks:
            with contextlib.suppress(Exception):
                self.ray.wait(list(self.tasks), num_returns=len(self.tasks), timeout=STOP)


class Bar:
    """One line about the whole run: in place on a terminal, else now and then a new one."""

    EVERY = 10.0

    def __init__(self, out: TextIO) -> None:
        self.out, self.is_terminal = out, out.isatty()
        self.said, self.last = 0.0, ""

    def show(self, progress: dict[str, Any] | None, workers: int, done: bool = False) -> None:
        """How far the run is."""
        if progress is None:
            line = f"beginning, {workers} workers"
        else:
            n, shards = progress["n_done"], progress["shards"]
            full = 30 * n // max(shards, 1)
            line = f"[{'=' * full}{' ' * (30 - full)}] {n}/{shards} shards"
            if progress["prompts_per_second"] and n < shards:
                rate, left = progress["prompts_per_second"], progress["seconds_left"]
                line += f", {rate:.0f} prompts/s, about {left:.0f} s left"
            line += f", {workers} worker{'' if workers == 1 else 's'}"
        now = time.monotonic()
        if self.is_terminal:
            self.out.write(f"\r\x1b[2K{line}")
        elif line != self.last and (done or now - self.said >= self.EVERY):
            self.out.write(f"{line}\n")
            self.said, self.last = now, line
        self.out.flush()

    def say(self, text: str) -> None:
        """A line of its own."""
        self.out.write(("\r\x1b[2K" if self.is_terminal else "") + f"{text}\n")
        self.out.flush()


class Driver:
    """A run from its first worker to `--finish`."""

    def __init__(
        self, options: argparse.Namespace, cluster: Cluster, bar: Bar, signals: Signals
    ) -> None:
        self.options, self.cluster, self.bar, self.signals = options, cluster, bar, signals
        self.board = Board(tries=options.tries, most=options.workers)
        self.progress: dict[str, Any] | None = None
        self.looked = 0.0
        self.named: set[str] = set()

    def run(self) -> int:
        """Until all is done, or nothing more can be; gives the exit code."""
        os.makedirs(self.options.logs, exist_ok=True)
        self.bar.say(f"logs of the workers: {self.options.logs}")
        alone_since: float | None = None
        while True:
            self.signals.look()
            nodes = self.cluster.nodes()
            self.board.see(nodes)
            self._look()
            for job in self.board.start(self.progress):
                self._start(job)
            for job, outcome in self.cluster.ended(self.options.logs):
                self.board.ended(job, outcome)
                self._say(job, outcome)
                self.looked = 0.0
            if self.board.finished is not None:
                return self._finished(self.board.finished)
            if self._only_given_up():
                return self._given_up()
            if not self.board.is_stuck:
                alone_since = None
            elif nodes:
                return self._no_machine()
            else:
                alone_since = alone_since or time.monotonic()
                if time.monotonic() - alone_since > self.options.patience:
                    self.bar.say(self._none())
                    return 75 if self.progress else 2

    def _none(self) -> str:
        gpus = f" and {self.options.num_gpus:g} GPUs" if self.options.num_gpus else ""
        return (
            f"error: no machine of the cluster has {self.cluster.cpus} cores{gpus} for a worker: "
            "ask for less with --num-cpus or --num-gpus, or add machines; what is done stays done"
        )

    def _start(self, job: Job) -> None:
        options = self.options
        words = ["run", os.path.abspath(options.pipeline), "--run-dir", options.run_dir]
        words += ["--threads", str(options.threads or self.cluster.cpus)]
        words += [word for value in options.sets for word in ("--set", value)]
        words += ["--provider", options.provider] if options.provider else []
        log = os.path.join(options.logs, f"{job.name}.jsonl")
        self.cluster.submit(job, [*words, *self.board.words(job)], log)

    def _look(self) -> None:
        """How far the run is; nothing is known before its record is there."""
        if time.monotonic() - self.looked < STATUS:
            return
        self.looked = time.monotonic()
        if Path(self.options.run_dir, "run.json").is_file():
            ended = ended_of(["status", self.options.run_dir, "--json"])
            if ended.returncode == 0:
                self.progress = json.loads(ended.stdout)
        self.bar.show(self.progress, len(self.cluster.tasks))

    def _look_again(self) -> None:
        self.looked = 0.0
        self._look()

    def _say(self, job: Job, outcome: dict[str, Any]) -> None:
        """A worker that ended otherwise than well."""
        if outcome["code"] in (0, 3) or "missing" in (outcome.get("end") or {}):
            return
        node = self.board.nodes.get(job.node)
        host = node.host if node else outcome.get("host", "a machine that is gone")
        first = str(outcome["text"]).strip().splitlines()[0]
        self.bar.say(f"{job.name} on {host}: {first}")

    def _only_given_up(self) -> bool:
        progress, given_up = self.progress, self.board.given_up
        if not given_up or progress is None or self.board.running:
            return False
        self._look_again()
        return free(self.progress["missing"] if self.progress else "", given_up) <= 0

    def _given_up(self) -> int:
        for shard, text in self.board.given_up.items():
            self.bar.say(f"error: shard {shard} failed {self.options.tries} times: {text}")
        self.bar.say(
            f"error: all other shards are done; the logs are in {self.options.logs}. Correct what "
            "they say, then run the same command again: what is done stays done"
        )
        return 1

    def _no_machine(self) -> int:
        reasons = self.board.unfit
        for host, (_, text) in reasons.items():
            self.bar.say(f"{host}: {text}")
        self.bar.say("error: no machine of the cluster can do this; each one's reason stands above")
        codes = {code for code, _ in reasons.values()}
        return next((code for code in (2, 1, 75) if code in codes), 1)

    def _finished(self, outcome: dict[str, Any]) -> int:
        self._look_again()
        self.bar.show(self.progress, 0, done=True)
        if self.bar.is_terminal:
            self.bar.out.write("\n")
        for host, (_, text) in self.board.unfit.items():
            self.bar.say(f"note: {host} did nothing of this: {text.splitlines()[0]}")
        if not self.options.quiet:
            sys.stdout.write(str(outcome["out"]))
        return int(outcome["code"])


def main(words: Sequence[str] | None = None) -> int:
    """Runs the command; returns its exit code."""
    options = arguments(words)
    bar = Bar(sys.stderr)
    if not os.path.isfile(options.pipeline):
        bar.say(f"error: there is no pipeline {options.pipeline}")
        return 2
    signals, cluster = Signals(), None
    try:
        signals.listen()
        cluster = Cluster(options)
        # Ray has put its own in their place.
        signals.listen()
        return Driver(options, cluster, bar, signals).run()
    except BaseException as error:
        # Ray's compiled parts turn what a signal raises in them into errors of their own.
        if signals.asked:
            return _stopped(cluster, bar, signals)
        return _failed(error, bar)
    finally:
        if cluster is not None:
            with contextlib.suppress(Exception):
                cluster.ray.shutdown()


def _stopped(cluster: Cluster | None, bar: Bar, signals: Signals) -> int:
    signals.ignore()
    if cluster is not None:
        if cluster.tasks:
            bar.say("stopping the workers, each where nothing is half done")
        cluster.stop()
    bar.say("interrupted; run the same command again to continue from here")
    return 130


def _failed(error: BaseException, bar: Bar) -> int:
    if isinstance(error, AqlensError):
        bar.say(f"error: {error}")
        return error.exit_code or 1
    # The head of the cluster is gone, or something else of Ray's: the workers end with it.
    if not type(error).__module__.startswith("ray"):
        raise error
    bar.say(f"error: the Ray cluster failed: {error}; the same command may do it later")
    return 75


if __name__ == "__main__":
    sys.exit(main())
