"""The two scripts of docs/many-machines.md on a real Slurm: two nodes on this machine, one of them killed.

    make test-slurm      (as root; Debian's slurmctld, slurmd and munge)

Only the page's paths are put in place. Slurm itself waits two minutes before it runs the task of a lost node
again; as the page says how not to, this takes about one. HANDS_OFF=1 leaves it to Slurm, in about four.
"""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nodes
import pytest

PAGE = nodes.ROOT / "docs/many-machines.md"
CONF = """
ClusterName=aqlens
SlurmctldHost=localhost
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={place}/munge.socket
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SlurmdParameters=config_overrides
SlurmctldPort=17817
SlurmctldPidFile={place}/slurmctld.pid
SlurmdPidFile={place}/slurmd-%n.pid
SlurmctldLogFile={place}/slurmctld.log
SlurmdLogFile={place}/slurmd-%n.log
StateSaveLocation={place}/state
SlurmdSpoolDir={place}/spool-%n
# Short, so that a lost node is soon missed, but not so short that a busy machine loses one. A node that is back
# is asked for its job no sooner than this and MessageTimeout (10 seconds) after the job's start.
SlurmdTimeout=20
BatchStartTimeout=1
SchedulerParameters=bf_interval=1,sched_interval=2
ReturnToService=2
NodeName=n1 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17818 CPUs=8
NodeName=n2 NodeHostname=localhost NodeAddr=127.0.0.1 Port=17819 CPUs=8
PartitionName=all Nodes=n1,n2 Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """A controller and two nodes."""

    def __init__(self, place: Path):
        self.place, self.started = place, {}
        for folder in ("state", "spool-n1", "spool-n2"):
            (place / folder).mkdir()
        (place / "slurm.conf").write_text(CONF.format(place=place))
        self.environment = {**nodes.ENVIRONMENT, "SLURM_CONF": str(place / "slurm.conf")}
        key = place / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self.start("munged", "munged", "--foreground", "--force", f"--socket={place}/munge.socket",
                   f"--key-file={key}", f"--pid-file={place}/munged.pid", f"--seed-file={place}/munge.seed",
                   f"--log-file={place}/munged.log")  # fmt: skip
        self.wait(lambda: (place / "munge.socket").exists(), 60)
        self.start("slurmctld", "slurmctld", "-D", "-i")
        self.start_node("n1")
        self.start_node("n2")
        self.wait(lambda: self.ask("sinfo", "-h", "-o", "%T %D").split() == ["idle", "2"], 120)

    def start(self, name: str, *words: str) -> None:
        log = (self.place / f"{name}.out").open("w")
        self.started[name] = subprocess.Popen(
            words, env=self.environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )

    def start_node(self, name: str) -> None:
        self.start(name, "slurmd", "-D", "-N", name)

    def ask(self, *words: str, folder: Path | None = None) -> str:
        done = subprocess.run(words, env=self.environment, cwd=folder, capture_output=True, text=True)
        return done.stdout.strip() if done.returncode == 0 else f"{done.stdout}{done.stderr}"

    def kill_node(self, name: str) -> None:
        """The daemon, the keepers of its jobs, and the jobs."""
        keepers = [one for pid in self.keepers(name) for one in nodes.tree(pid)]
        nodes.kill(nodes.tree(self.started[name].pid) + keepers)

    def keepers(self, name: str) -> list[int]:
        """A process for each task that runs on the node."""
        return [
            pid for pid, (_, command) in nodes.processes().items()
            if command.startswith("slurmstepd") and self.is_of(pid, name)
        ]  # fmt: skip

    def is_of(self, pid: int, name: str) -> bool:
        try:
            files = [os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")]
        except OSError:
            return False
        return any(f"slurmd-{name}.log" in file for file in files)

    def log(self) -> str:
        return (self.place / "slurmctld.log").read_text()

    def wait(self, holds, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                seen = self.ask("squeue"), self.ask("sinfo", "-N", "-l"), self.log()[-3000:]
                raise AssertionError(f"waited {seconds} s in vain\n" + "\n".join(seen))
            time.sleep(0.2)

    def end(self) -> None:
        nodes.kill([one for process in self.started.values() for one in nodes.tree(process.pid)])
        for process in self.started.values():
            process.wait()


@pytest.fixture
def slurm(tmp_path):
    lacking = [name for name in ("slurmctld", "slurmd", "munged") if shutil.which(name) is None]
    assert not lacking, f"install {lacking}: apt-get install slurmctld slurmd munge"
    assert os.geteuid() == 0, "slurmd runs jobs as other users: run this as root"
    place = tmp_path / "slurm"
    place.mkdir()
    # munged refuses a place that others may write to.
    for folder in [place, *place.parents]:
        if folder.stat().st_mode & 0o022 and not folder.stat().st_mode & 0o1000:
            folder.chmod(folder.stat().st_mode & ~0o022)
    cluster = Slurm(place)
    yield cluster
    cluster.end()


@pytest.fixture
def site(tmp_path):
    """/srv/aqlens of the page."""
    folder = tmp_path / "site"
    (folder / "pipelines").mkdir(parents=True)
    nodes.pipeline(folder).rename(folder / "pipelines/nightly.yml")
    (folder / "scenes.jsonl").rename(folder / "pipelines/scenes.jsonl")
    venv = Path(os.environ.get("ORT_DYLIB_PATH", sys.prefix))
    (folder / ".venv").symlink_to(venv)
    program = tmp_path / "aqlens"
    program.symlink_to(nodes.AQLENS)
    shards, finish, submit = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), re.DOTALL)
    for name, text in {"shards.sh": shards, "finish.sh": finish, "submit.sh": submit}.items():
        text = text.replace("/usr/local/bin/aqlens", str(program)).replace("/srv/aqlens", str(folder))
        (folder / name).write_text(text)
    return folder


def test_the_pages_scripts_end_with_the_tables_of_one_process_though_a_node_is_killed(site, slurm, tmp_path):
    run, alone = site / "runs/nightly", tmp_path / "alone"
    words = [nodes.AQLENS, "run", str(site / "pipelines/nightly.yml"), "--run-dir", str(alone), "--threads", "8"]
    assert subprocess.run([*words, "--quiet"], env=nodes.ENVIRONMENT, capture_output=True).returncode == 0
    said = slurm.ask("bash", "submit.sh", folder=site)
    assert re.search(r"Submitted batch job \d+", said), said
    shares = slurm.ask("squeue", "-h", "-n", "aqlens", "-o", "%F").split()[0]
    slurm.wait(lambda: len(nodes.receipts(run)) > 30 and slurm.keepers("n2"), 300)
    before, began = nodes.receipts(run), time.monotonic()
    slurm.kill_node("n2")
    time.sleep(10)
    slurm.start_node("n2")
    # One when it is back at once, the other when it stays away.
    slurm.wait(lambda: "due to node failure" in slurm.log() or "due to failure of node n2" in slurm.log(), 300)
    missed = time.monotonic() - began
    if not os.environ.get("HANDS_OFF"):
        slurm.ask("scontrol", "update", f"JobId={shares}_1", "StartTime=now")
    slurm.wait(lambda: not slurm.ask("squeue", "-h"), 420)
    print(f"missed after {missed:.0f} s, all done {time.monotonic() - began:.0f} s after the kill")
    after = nodes.receipts(run)
    again = [name for name, written in before.items() if after[name] != written]
    print(f"{len(before)} receipts before the kill, {len(again)} written again")
    assert again == []
    assert nodes.bytes_of(run) == nodes.bytes_of(alone)


def test_a_share_that_fails_takes_the_finishing_job_out_of_the_queue(site, slurm):
    pipeline = site / "pipelines/nightly.yml"
    pipeline.write_text(pipeline.read_text().replace("kind: extract", "kind: extrakt"))
    said = slurm.ask("bash", "submit.sh", folder=site)
    assert "Submitted batch job" in said
    slurm.wait(lambda: not slurm.ask("squeue", "-h"), 240)
    assert not (site / "runs/nightly/summary.json").exists()
