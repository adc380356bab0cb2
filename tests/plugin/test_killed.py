"""Killed at any moment: what was finished and kept is never made again, and no file is left broken."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from rag_evals.evals.runs.run import read_run

QUESTIONS = 40

# Each question takes a few milliseconds; what is begun and what is finished is noted with one write each,
# which is whole or not at all.
CONFTEST = """
import asyncio
import os

import pytest
from rag_evals.evals.runs.score import Judgement, Score
from rag_evals import Answer, Context

NOTES = os.open("notes.txt", os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(*words):
    os.write(NOTES, (" ".join(words) + "\\n").encode())

class Pipeline:
    name = "mine"
    fingerprint = "pipeline"

    async def answer(self, question):
        note("begin", "answer", question)
        await asyncio.sleep(0.008)
        note("end", "answer", question)
        return Answer(f"It is {question}", (Context(f"passage {question}" * 50, "a.pdf", 1, 5, 12),))

class Judge:
    name = "judge"
    fingerprint = "judge"

    async def score(self, question, answer):
        note("begin", "scores", question.question)
        await asyncio.sleep(0.004)
        note("end", "scores", question.question)
        return Judgement((Score("faithfulness", 0.9), Score("relevancy", 0.8)))

@pytest.fixture(scope="session")
def baseline():
    return Pipeline()

@pytest.fixture(scope="session")
def judge():
    return Judge()
"""


@pytest.fixture
def project(project):
    """Forty questions to a pipeline and a judge that say when they begin and when they end."""
    project.write("conftest.py", CONFTEST)
    project.ask(**{f"q{n}": f"Q{n}" for n in range(QUESTIONS)})
    return project


def start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start pytest in a group of its own, so that its workers can be killed with it."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options]
    return subprocess.Popen(
        command, cwd=folder, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def notes(folder: Path) -> list[str]:
    file = folder / "notes.txt"
    return file.read_text().splitlines() if file.exists() else []


def in_notes(lines: list[str], word: str) -> list[tuple[str, str]]:
    """Return kind and question id of each line that begins with `word`, in their order."""
    return [(kind, question.lower()) for first, kind, question in map(str.split, lines) if first == word]


def kept(folder: Path) -> set[tuple[str, str]]:
    """Return kind and question id of what is in the cache, whose file must be whole."""
    file = folder / ".rag-evals" / "cache.sqlite"
    if not file.exists():
        return set()
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        if connection.execute("PRAGMA user_version").fetchone() == (0,):
            return set()  # killed before the tables were there
        return set(connection.execute("SELECT kind, subject FROM item"))


def kill(folder: Path, draw: random.Random, within: float, *options: str) -> bool:
    """Run pytest and kill it at some moment; return whether it was still running.

    Most kills fall into the work, `within` some seconds from the first note; every fifth falls before it.
    """
    process, seen = start(folder, *options), len(notes(folder))
    if draw.random() < 0.2:
        time.sleep(draw.uniform(0.05, 0.4))
    else:
        until = time.monotonic() + 20
        while process.poll() is None and len(notes(folder)) == seen and time.monotonic() < until:
            time.sleep(0.001)
        time.sleep(draw.uniform(0.0, within))
    is_running = process.poll() is None
    if is_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return is_running


def lines_are_whole(run: Path) -> None:
    """Each line of the records is whole; the last one may be cut."""
    records = run / "records.jsonl"
    for line in records.read_bytes().split(b"\n")[:-1] if records.exists() else []:
        assert isinstance(json.loads(line), dict)


@pytest.mark.parametrize(
    ("kills", "within", "at_once", "options"),
    [(50, 0.015, 1, ("-p", "no:xdist")), (10, 0.03, 2, ("-n", "2"))],
    ids=["serial", "xdist"],
)
def test_nothing_that_was_kept_is_made_again(project, kills, within, at_once, options):
    """However often a run is killed: only what was in flight is lost, and the last run is whole."""
    folder, draw = project.path, random.Random(20)
    in_flight = 0
    for _ in range(kills):
        seen, had = len(notes(folder)), kept(folder)
        in_flight += kill(folder, draw, within, *options)
        made, has = notes(folder)[seen:], kept(folder)
        # What was in the cache stays in it and is not begun again.
        assert had <= has
        begun, ended = (in_notes(made, word) for word in ("begin", "end"))
        assert not had & set(begun)
        assert len(begun) == len(set(begun))
        # What was finished is kept, but for what the kill met between the two, one in each process.
        assert len(set(ended) - has) <= at_once
        assert len(set(begun) - has) <= at_once
        assert has - had <= set(ended)
    # Else there would have been nothing to lose, or nothing to lose it by.
    assert 0 < len(kept(folder)) < 2 * QUESTIONS
    assert in_flight > kills / 2
    last = start(folder, *options)
    output = last.communicate(timeout=60)[0].decode()
    assert last.returncode == 0, output
    begun = in_notes(notes(folder), "begin")
    assert 2 * QUESTIONS <= len(begun) <= 2 * QUESTIONS + at_once * in_flight
    assert len(kept(folder)) == 2 * QUESTIONS
    for run in project.runs:
        lines_are_whole(run)
    latest = (folder / ".rag-evals" / "runs" / "latest").resolve()
    recorded = [json.loads(line) for line in (latest / "records.jsonl").read_text("utf-8").splitlines()]
    assert recorded[-1] == {"type": "end", "passed": QUESTIONS, "sum": recorded[-1]["sum"]}
    assert read_run(latest).notes == ()
    ids = [line["question_id"] for line in recorded if line["type"] == "evaluation"]
    assert sorted(ids) == sorted(f"q{n}" for n in range(QUESTIONS))
