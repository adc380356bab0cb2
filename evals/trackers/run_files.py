"""The question sets of a run as files to keep: questions, manifest, an audit of their making, a table."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import EvalsError
from rag_evals.evals.base.files import read_plain
from rag_evals.evals.questions.manifest import manifest_path
from rag_evals.evals.questions.question import Question, question_to_json, questions_digest, to_line
from rag_evals.evals.questions.question_set import QuestionSet, load_set
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, component_to_json
from rag_evals.evals.runs.masking import masked, masked_text
from rag_evals.evals.runs.run import RECORDS
from rag_evals.evals.trackers.tracker import TrackedFile, TrackedTable
from rag_evals.rag.identity import digest

COLUMNS = (
    "id",
    "kind",
    "question",
    "reference",
    "answerable",
    "document",
    "page",
    "quote",
    "origin",
    "edited",
    "tags",
)
MOST_NAME = 60


def sets_of(files: Iterable[Mapping[str, Any]], run: Path, scratch: Path) -> Iterator[TrackedFile]:
    """Yield the question sets among the question files of a run, each with its table.

    A file without a manifest is none, and one that was changed since the run is not what was asked.

    Args:
        files: What the first line of the records says of them: `path`, from the run folder, and `digest`.
        run: The run folder.
        scratch: Folder for what is made here.
    """
    names: set[str] = set()
    for number, file in enumerate(files):
        found = _loaded(run, str(file.get("path", "")), file.get("digest"))
        if found is None or found.manifest is None:
            continue
        folder = scratch / f"set-{number}"
        folder.mkdir()
        name = _name(found.path, names)
        names.add(name)
        yield _tracked(found, name, str(file["digest"]), folder)


def _loaded(run: Path, path: str, digest: object) -> QuestionSet | None:
    """Return the set as it was asked; None where there is no such one any more."""
    for place in (run / path, Path(path)):
        try:
            found = load_set(place) if manifest_path(place).is_file() else None
        except (EvalsError, ValueError, OSError):  # the records have the questions all the same
            continue
        if found and questions_digest(found.questions) == digest:
            return found
    return None


def _name(path: Path, taken: set[str]) -> str:
    """Return the artifact's name: that of its file, with the folder before it where another set has it."""
    real = path.resolve()
    for words in (real.stem, f"{real.parent.name}-{real.stem}"):
        name = f"question-set-{re.sub(r'[^A-Za-z0-9_.-]+', '-', words)[-MOST_NAME:]}"
        if name not in taken:
            return name
    return f"{name}-{len(taken)}"


def _tracked(found: QuestionSet, name: str, digest: str, folder: Path) -> TrackedFile:
    manifest = found.manifest
    assert manifest is not None
    texts = {
        "questions.jsonl": "".join(f"{to_line(masked(question_to_json(one)))}\n" for one in found.questions),
        "questions.manifest.json": _manifest(found.path),
    }
    if audit := _audit(found.path):
        texts["audit.json"] = json.dumps(audit, indent=1) + "\n"
    paths = {}
    for file, text in texts.items():
        paths[file] = folder / file
        paths[file].write_text(text, "utf-8", errors="backslashreplace", newline="\n")
    about = {
        "digest": digest,
        "count": len(found.questions),
        "kinds": dict(manifest.kinds),
        "generator": masked(dict(manifest.generator)) if manifest.generator else None,
    }
    rows = tuple(map(_row, found.questions))
    return TrackedFile(
        name,
        "dataset",
        paths,
        aliases=(digest[:16],),
        is_used=True,
        about=about,
        table=TrackedTable("questions", COLUMNS, rows),
    )


def _manifest(path: Path) -> str:
    value = parse_json(read_plain(manifest_path(path)))
    # Hashes by the ids of questions, which may well be called like a credential.
    hashes = {masked_text(id): known for id, known in value.pop("questions").items()}
    return json.dumps({**masked(value), "questions": hashes}, indent=1) + "\n"


def _row(question: Question) -> Sequence[Any]:
    told, sources = question.provenance or {}, [one for group in question.wanted for one in group]
    cells = {
        **{name: getattr(question, name) for name in ("id", "question", "reference", "answerable")},
        "kind": str(told.get("kind", "")),
        # A comparison has two.
        "document": ", ".join(dict.fromkeys(source.document for source in sources)),
        "page": ", ".join(str(source.page) for source in sources if source.page is not None),
        "quote": "\n\n".join(source.quote for source in sources if source.quote),
        "origin": str(told.get("origin", "curated")),
        "edited": bool(told.get("edited")),
        "tags": ", ".join(question.tags),
    }
    return masked([cells[column] for column in COLUMNS])


def _audit(path: Path) -> dict[str, Any] | None:
    from rag_evals.evals.generation.audit import audit_of, audit_to_json
    from rag_evals.evals.generation.work_file import work_path

    work = work_path(path)
    try:
        return audit_to_json(audit_of(work)) if work.is_file() else None
    except EvalsError:  # it may be written at this very moment, by another version
        return None


TRACES = "traces.jsonl"
# An index beyond it goes without its vectors: they can be made anew from what is kept of it.
MOST_INDEX_BYTES = 64 * 2**20


def questions_of(evaluations: Iterable[Evaluation]) -> list[Question]:
    """Return the questions that were asked, as far as records tell them, each once and sorted by id."""
    found = {evaluation.question.id: evaluation.question for evaluation in evaluations}
    return [found[id] for id in sorted(found)]


def digest_of(evaluations: Iterable[Evaluation]) -> dict[str, Any]:
    """Return the number of the questions, and SHA-256 over them."""
    questions = questions_of(evaluations)
    return {"count": len(questions), "sha256": questions_digest(questions)}


def files_of(
    evaluations: Sequence[Evaluation],
    components: Iterable[ComponentInfo],
    run: Path,
    scratch: Path,
    *,
    run_id: str,
    question_files: Iterable[Mapping[str, Any]] = (),
) -> Iterator[TrackedFile]:
    """Yield the files to keep, but for the report.

    Args:
        evaluations: Those of the run.
        components: Its pipelines and judges.
        run: The run folder, in the home folder of runs and indexes.
        scratch: An empty folder for those that are made here; they are gone with it.
        run_id: The run's own: its folder may be named otherwise, `latest` above all.
        question_files: What the first line of the records says of the files that its questions came from.
    """
    yield _questions(evaluations, scratch)
    for one in components:
        if one.kind == "judge":
            yield _judge(one, scratch)
        elif index := _index(one, run.parent.parent, scratch):
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


def _judge(judge: ComponentInfo, scratch: Path) -> TrackedFile:
    text = json.dumps(component_to_json(judge), indent=1, sort_keys=True) + "\n"
    file = _write(scratch / f"judge-{digest(judge.fingerprint)[:16]}.json", text)
    known = {"judge": judge.name, "fingerprint": judge.fingerprint}
    return TrackedFile("judge-card", "judge-card", {"judge-card.json": file}, is_used=True, about=known)


def _index(pipeline: ComponentInfo, home: Path, scratch: Path) -> TrackedFile | None:
    """Return the index of one of our pipelines: what it was made from, and the index itself."""
    identity = (pipeline.identity or {}).get("index")
    if not identity:
        return None
    text = json.dumps(identity, indent=1, sort_keys=True) + "\n"
    made_from = _write(scratch / f"index-{digest(identity)[:16]}.json", text)
    fingerprint = str((pipeline.settings or {}).get("index") or "")
    folder = home / "indexes" / fingerprint[:16]
    # The records may be somebody else's: what they name is one of our own indexes or nothing, and no link.
    is_ours = re.fullmatch(r"[0-9a-f]{64}", fingerprint) and folder.is_dir() and not folder.is_symlink()
    stored = [file for file in sorted(folder.iterdir()) if is_plain(file)] if is_ours else []
    small = sum(file.stat().st_size for file in stored) <= MOST_INDEX_BYTES
    paths = {file.name: file for file in stored if small}
    return TrackedFile(
        f"index-{pipeline.name}",
        "index",
        {"made-from.json": made_from, **paths},
        is_used=True,
        about={"fingerprint": fingerprint, "vectors": bool(paths)},
    )


def _records(run: Path, scratch: Path, run_id: str) -> TrackedFile:
    paths = {}
    # A copy: what is sent must not change while it is read.
    for name in (RECORDS, TRACES):
        if is_plain(run / name):
            paths[name] = Path(shutil.copyfile(run / name, scratch / name))
    return TrackedFile("run-records", "run-records", paths, aliases=(run_id,))


def is_plain(file: Path) -> bool:
    """Return whether it is a file and no link: the target of a link may be anything of this machine."""
    return file.is_file() and not file.is_symlink()


def _write(file: Path, text: str) -> Path:
    file.write_text(text, encoding="utf-8", errors="backslashreplace", newline="\n")
    return file
