"""The question sets of a run as files to keep: questions, manifest, an audit of their making, a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evals.errors import EvalsError
from evals.manifests import manifest_path
from evals.question_lines import question_to_json, questions_digest, to_line
from evals.question_sets import QuestionSet, load_set
from evals.questions import Question
from evals.secrets import masked, masked_text
from evals.trackers.tracker import TrackedFile, TrackedTable

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
    """Give the question sets among the question files of a run, each with its table.

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
    """Give the set as it was asked; None where there is no such one any more."""
    for place in (run / path, Path(path)):
        try:
            found = load_set(place) if manifest_path(place).is_file() else None
        except (EvalsError, ValueError, OSError):  # the records have the questions all the same
            continue
        if found and questions_digest(found.questions) == digest:
            return found
    return None


def _name(path: Path, taken: set[str]) -> str:
    """Give the artifact its file's name, with that of the folder before it where another set has it."""
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
    value = json.loads(manifest_path(path).read_bytes())
    # Hashes by the ids of questions, which may well be called like a credential.
    hashes = {masked_text(id): known for id, known in value.pop("questions").items()}
    return json.dumps({**masked(value), "questions": hashes}, indent=1) + "\n"


def _row(question: Question) -> Sequence[Any]:
    told, sources = question.provenance or {}, question.sources
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


# --- how a set was made ---


def _audit(path: Path) -> dict[str, Any] | None:
    from evals.generation.audit import audit_of, audit_to_json
    from evals.generation.working import work_path

    work = work_path(path)
    try:
        return audit_to_json(audit_of(work)) if work.is_file() else None
    except EvalsError:  # it may be written at this very moment, by another version
        return None
