"""A session that is watched from outside: what each test took, what it leaves, and a moment to disturb it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from tests.servers.wandb_project import write_project

# How long it took, and so the checksum.
_OF_ONE_RUN = ("seconds", "sum")


@dataclass(frozen=True, slots=True)
class Session:
    """What was seen of one session.

    Attributes:
        status: Exit status; negative for a signal.
        output: What it printed.
        evaluated: Seconds of `evaluate` by test.
        took: Seconds of a test's whole protocol, by test.
        junit: What JUnit's file says of each test; None without the file.
        records: Lines of its records.
        to_end: Seconds from its last test, or from the signal, to the end of its process.
        to_alone: Seconds from there until nothing is left that it had begun.
    """

    status: int
    output: str
    evaluated: Mapping[str, float]
    took: Mapping[str, float]
    junit: Mapping[str, Any] | None
    records: list[dict[str, Any]]
    to_end: float
    to_alone: float

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """The evaluations, without what differs from one run to the other."""
        lines = [line for line in self.records if line["type"] == "evaluation"]
        return [{key: value for key, value in line.items() if key not in _OF_ONE_RUN} for line in lines]

    @property
    def said(self) -> list[str]:
        """What was said of W&B."""
        return [line for line in self.output.splitlines() if line.startswith("wandb: ")]


@dataclass
class Lab:
    """The project in a folder of its own.

    Args:
        folder: Where; it is made.
        questions: How many are asked of each of two pipelines.
        stop: Number of the test in front of which it stops.
        options: Of pytest.
        environment: On top of ours.
        disk: Bytes of the file system that W&B's folder is on; None for an ordinary one.
    """

    folder: Path
    questions: int
    stop: int
    options: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    disk: int | None = None

    def __post_init__(self) -> None:
        write_project(self.folder, self.questions)
        self._mark = uuid.uuid4().hex

    @property
    def run(self) -> Path | None:
        """The folder of the only run; None before there is one."""
        runs = [path for path in self.folder.glob(".rag-evals/runs/*") if not path.is_symlink()]
        return runs[0] if runs else None

    @property
    def count(self) -> int:
        """How many tests are over."""
        return len(self._times())

    def watch(self, meanwhile: Callable[[], None], kill: signal.Signals | None = None) -> Session:
        """Run the session; return what was seen of it.

        Args:
            meanwhile: Is called when the tests have stopped, and returns when they may go on.
            kill: Sent three tests later.
        """
        with (self.folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [*self._disk(), sys.executable, "-m", "pytest", "-q", "--junitxml=junit.xml", *self.options],
                cwd=self.folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            until_is(lambda: (self.folder / "stopped").exists() or process.poll() is not None, 60)
            meanwhile()
            before = self.count
            (self.folder / "go").touch()
            ended = self._killed(process, before, kill) if kill else 0.0
            status = process.wait(120)
        finally:
            process.kill()
            process.wait()
        over = time.time()
        until_is(lambda: not processes_of(self._mark), 60)
        to_alone = time.time() - over
        return self._seen(status, over - (ended or self._times()[-1][3]), to_alone)

    def replay(self, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Send the run again."""
        command = [sys.executable, "-m", "rag_evals.evals.cli", "replay", "latest"]
        env = {**self._environment(), **environment}
        return subprocess.run(command, cwd=self.folder, env=env, capture_output=True, text=True, timeout=120)

    def _killed(self, process: subprocess.Popen[bytes], before: int, kill: signal.Signals) -> float:
        """Send the signal as those do who send it, Ctrl-C to all in the foreground; return the moment."""
        until_is(lambda: self.count >= before + 3, 60)
        if kill == signal.SIGINT:
            os.killpg(process.pid, kill)
        else:
            process.send_signal(kill)
        return time.time()

    def _environment(self) -> dict[str, str]:
        ours = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "GITHUB_"))}
        told = {"LAB_MARK": self._mark, "LAB_STOP": str(self.stop)}
        if self.disk is not None:
            told["LAB_DISK"] = str(self.folder / "disk")
        return {**ours, **told, **self.environment}

    def _disk(self) -> list[str]:
        """Return what comes before a command that has a small disk: it alone sees it, and it goes with it."""
        if self.disk is None:
            return []
        disk = self.folder / "disk"
        disk.mkdir(exist_ok=True)
        fill = 'head -c 4096 /dev/zero > "$0/full"' if self.disk == 0 else "true"
        script = f'mount -t tmpfs -o size={max(self.disk, 4096)} none "$0" && {fill} && exec "$@"'
        return ["unshare", "-rm", "sh", "-c", script, str(disk)]

    def _times(self) -> list[list[Any]]:
        try:
            *lines, _ = (self.folder / "times.jsonl").read_text().split("\n")
        except OSError:
            return []
        return [json.loads(line) for line in lines]

    def _seen(self, status: int, to_end: float, to_alone: float) -> Session:
        junit, run, times = self.folder / "junit.xml", self.run, self._times()
        records = (run / "records.jsonl").read_text("utf-8").splitlines() if run else []
        return Session(
            status=status,
            output=(self.folder / "output.txt").read_text("utf-8", errors="replace"),
            evaluated={test: evaluated for test, evaluated, *_ in times},
            took={test: took for test, _, took, _ in times},
            junit=_in_junit(junit) if junit.exists() else None,
            records=[json.loads(line) for line in records],
            to_end=to_end,
            to_alone=to_alone,
        )


def processes_of(mark: str) -> list[int]:
    """Return the processes with this mark in their environment, as children inherit; none without /proc."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            marked = f"LAB_MARK={mark}".encode() in (process / "environ").read_bytes()
        except OSError:  # it has just ended, or is not ours
            continue
        if marked:
            found.append(int(process.name))
    return found


def why_no_disk() -> str:
    """Return why no process can have a small disk to itself here; nothing where it can."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", "mount -t tmpfs -o size=4096 none /mnt"],
        capture_output=True,
        text=True,
    )
    return "" if done.returncode == 0 else f"no file system can be mounted: {done.stderr.strip()}"


def _in_junit(file: Path) -> dict[str, Any]:
    """Return for each test what went wrong in it, with its message."""
    cases = ElementTree.parse(file).getroot().iter("testcase")
    wrong = ("failure", "error", "skipped")
    return {
        f"{case.get('classname')}.{case.get('name')}": [
            (part.tag, part.get("message")) for part in case if part.tag in wrong
        ]
        for case in cases
    }


def until_is(is_so: Callable[[], bool], seconds: float) -> bool:
    """Wait until it is so, at most so many seconds; return whether it is."""
    until = time.monotonic() + seconds
    while not is_so():
        if time.monotonic() > until:
            return False
        time.sleep(0.02)
    return True
