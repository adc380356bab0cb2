"""The files that are kept with a run: its questions, indexes, judge and records."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.question_lines import question_to_json, questions_digest, to_line
from evals.questions import Question
from evals.records import Evaluation
from evals.runs import RECORDS
from evals.trackers.question_sets import sets_of
from evals.trackers.tracker import TrackedFile
from rag.identity import digest

TRACES = "traces.jsonl"
# An index beyond it goes without its vectors: they can be made anew from what is kept of it.
MOST_INDEX_BYTES = 64 * 2**20


def questions_of(evaluations: Iterable[Evaluation]) -> list[Question]:
    """Give the questions that were asked, as far as records tell them, each once and sorted by id."""
    found = {evaluation.question.id: evaluation.question for evaluation in evaluations}
    return [found[id] for id in sorted(found)]


def digest_of(evaluations: Iterable[Evaluation]) -> dict[str, Any]:
    """Give the number of the questions, and SHA-256 over them."""
    questions = questions_of(evaluations)
    return {"count": len(questions), "sha256": questions_digest(questions)}


def files_of(
    evaluations: Sequence[Evaluation],
    abouts: Sequence[Mapping[str, Any]],
    run: Path,
    scratch: Path,
    *,
    run_id: str,
    question_files: Iterable[Mapping[str, Any]] = (),
) -> Iterator[TrackedFile]:
    """Give the files to keep, but for the report.

    Args:
        evaluations: Those of the run.
        abouts: What describes its pipelines and judges.
        run: The run folder, in the home folder of runs and indexes.
        scratch: An empty folder for those that are made here; they are gone with it.
        run_id: The run's own: its folder may be named otherwise, `latest` above all.
        question_files: What the first line of the records says of the files that its questions came from.
    """
    yield _questions(evaluations, scratch)
    for about in abouts:
        if about["type"] == "judge":
            yield _judge(about, scratch)
        elif index := _index(about, run.parent.parent, scratch):
            yield index
    yield _records(run, scratch, run_id)
    yield from sets_of(question_files, run, scratch)


def _questions(evaluations: Sequence[Evaluation], scratch: Path) -> TrackedFile:
    questions = questions_of(evaluations)
    lines = _write(
        scratch / "questions.jsonl", "".join(f"{to_line(question_to_json(each))}\n" for each in questions)
    )
    # One a line, as those who keep their questions in a plain file read them.
    texts = _write(scratch / "questions.txt", "".join(f"{' '.join(q.question.split())}\n" for q in questions))
    return TrackedFile(
        "eval-questions",
        "dataset",
        {"questions.jsonl": lines, "questions.txt": texts},
        is_used=True,
        about=digest_of(evaluations),
    )


def _judge(about: Mapping[str, Any], scratch: Path) -> TrackedFile:
    text = json.dumps(about, indent=1, sort_keys=True) + "\n"
    file = _write(scratch / f"judge-{str(about['fingerprint'])[:16]}.json", text)
    known = {"judge": about["name"], "fingerprint": about["fingerprint"]}
    return TrackedFile("judge-card", "judge-card", {"judge-card.json": file}, is_used=True, about=known)


def _index(about: Mapping[str, Any], home: Path, scratch: Path) -> TrackedFile | None:
    """Give the index of one of our pipelines: what it was made from, and the index itself."""
    identity = (about.get("identity") or {}).get("index")
    if not identity:
        return None
    text = json.dumps(identity, indent=1, sort_keys=True) + "\n"
    made_from = _write(scratch / f"index-{digest(identity)[:16]}.json", text)
    fingerprint = str((about.get("settings") or {}).get("index") or "")
    folder = home / "indexes" / fingerprint[:16]
    stored = sorted(folder.iterdir()) if fingerprint and folder.is_dir() else []
    small = sum(file.stat().st_size for file in stored) <= MOST_INDEX_BYTES
    paths = {file.name: file for file in stored if small and file.is_file()}
    return TrackedFile(
        f"index-{about['name']}",
        "index",
        {"made-from.json": made_from, **paths},
        is_used=True,
        about={"fingerprint": fingerprint, "vectors": bool(paths)},
    )


def _records(run: Path, scratch: Path, run_id: str) -> TrackedFile:
    paths = {}
    # A copy: what is sent must not change while it is read.
    for name in (RECORDS, TRACES):
        if (run / name).exists():
            paths[name] = Path(shutil.copyfile(run / name, scratch / name))
    return TrackedFile("run-records", "run-records", paths, aliases=(run_id,))


def _write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return file
