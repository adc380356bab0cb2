"""The manifest of a question set: what was true of it when it was written, and what was edited since."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.fields import WrongField, anything, count, fields, keyed, listed, maybe, text
from rag_evals.evals.base.files import read_plain, replace_file
from rag_evals.evals.base.messages import count_of, display_path, first_names, printable
from rag_evals.evals.questions.question import Question, questions_digest, short_digest
from rag_evals.rag.documents.document import Corpus

TYPE = "question-set"
SCHEMA = 1
SUFFIX = ".manifest.json"
_CORPUS = fields({"sha256": text, "documents": keyed(text)}, {"remarks": maybe(listed(text))})
_FIELDS = fields(
    {"digest": text, "questions": keyed(text), "kinds": keyed(count), "curated": count, "created_with": text},
    {"corpus": maybe(_CORPUS), "generator": maybe(keyed(anything))},
)


@dataclass(frozen=True, slots=True)
class Manifest:
    """What was true of a question set when it was written.

    Attributes:
        digest: Hash over all questions, whatever their order.
        questions: The first 16 digits of the hash of each question, by id: they tell which were edited.
        kinds: How many questions there are of each kind; those without a kind are left out.
        corpus: Hash of the corpus; None when the documents were not known.
        documents: Hash of each document by name.
        generator: What wrote the questions; None when nothing did.
        curated: How many questions were written or edited by hand.
        created_with: Version of this package.
        remarks: What of the documents was not read, a line each.
    """

    digest: str
    questions: Mapping[str, str]
    kinds: Mapping[str, int]
    corpus: str | None
    documents: Mapping[str, str]
    generator: Mapping[str, Any] | None
    curated: int
    created_with: str
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Edits:
    """What was edited since the manifest was written: ids, in the order of the file.

    Attributes:
        added: Those that are new.
        removed: Those that are gone, sorted.
        changed: Those that are other questions now, in whatever way.
    """

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)

    def __str__(self) -> str:
        parts = (("added", self.added), ("removed", self.removed), ("changed", self.changed))
        return "; ".join(
            f"{count_of(len(ids), 'question')} {what}: {first_names(ids)}" for what, ids in parts if ids
        )


def manifest_path(path: Path) -> Path:
    """Return where the manifest of a question file lies."""
    return path.with_suffix(SUFFIX)


def manifest_of(
    questions: Sequence[Question],
    corpus: Corpus | None = None,
    generator: Mapping[str, Any] | None = None,
) -> Manifest:
    """Return the manifest of questions as they are now."""
    told = [question.provenance or {} for question in questions]
    return Manifest(
        digest=questions_digest(questions),
        questions={question.id: short_digest(question) for question in questions},
        kinds=dict(sorted(Counter(str(p["kind"]) for p in told if "kind" in p).items())),
        corpus=corpus.sha256 if corpus else None,
        documents={document.name: document.sha256 for document in corpus.documents} if corpus else {},
        generator=generator,
        curated=sum(map(is_curated, questions)),
        created_with=version("rag-evals"),
        remarks=tuple(corpus.remarked) if corpus else (),
    )


def is_curated(question: Question) -> bool:
    """Return whether a person wrote or edited a question."""
    provenance = question.provenance or {}
    return provenance.get("origin", "curated") == "curated" or bool(provenance.get("edited"))


def save_manifest(path: Path, manifest: Manifest) -> None:
    """Write the manifest of the question file `path`."""
    corpus: dict[str, Any] = {
        "sha256": manifest.corpus,
        "documents": dict(sorted(manifest.documents.items())),
        **({"remarks": list(manifest.remarks)} if manifest.remarks else {}),
    }
    value = {
        "type": TYPE,
        "schema": SCHEMA,
        "digest": manifest.digest,
        "count": len(manifest.questions),
        "curated": manifest.curated,
        "kinds": dict(manifest.kinds),
        **({"corpus": corpus} if manifest.corpus else {}),
        **({"generator": dict(manifest.generator)} if manifest.generator else {}),
        "created_with": manifest.created_with,
        "questions": dict(sorted(manifest.questions.items())),
    }
    replace_file(manifest_path(path), json.dumps(value, indent=1) + "\n")


def load_manifest(path: Path) -> Manifest | None:
    """Read the manifest of the question file `path`; None when it has none.

    Raises:
        QuestionFileError: It is damaged, or of a later version.
    """
    file = manifest_path(path)
    try:
        value = parse_json(read_plain(file))
        _check_head(value)
        return _manifest_from(value)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise QuestionFileError(
            printable(
                f"{display_path(file)} cannot be read as the manifest of a question set ({_reason(error)}): "
                f"remove it, and `rag-evals questions check {display_path(path)} --docs PATH --write` "
                "writes it anew"
            )
        ) from error


def _check_head(value: Any) -> None:
    if value["type"] != TYPE:
        raise ValueError(f"its type is {value['type']!r}")
    if not isinstance(value["schema"], int) or value["schema"] > SCHEMA:
        raise ValueError(f"its schema is {value['schema']}, of a later version; known is {SCHEMA}")


def _manifest_from(value: Mapping[str, Any]) -> Manifest:
    _FIELDS(value)
    corpus = value.get("corpus") or {}
    return Manifest(
        digest=value["digest"],
        questions=value["questions"],
        kinds=value["kinds"],
        corpus=corpus.get("sha256"),
        documents=corpus.get("documents", {}),
        generator=value.get("generator") or None,
        curated=value["curated"],
        created_with=value["created_with"],
        remarks=tuple(corpus.get("remarks") or ()),
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return str(error.strerror or error)
    if isinstance(error, KeyError):
        return f"it has no {error}"
    if isinstance(error, WrongField) and not error.wanted:
        return f"it has no {'.'.join(error.path)!r}"
    if isinstance(error, json.JSONDecodeError | UnicodeDecodeError):
        return "it is not JSON"
    return str(error)


def edits_since(manifest: Manifest, questions: Sequence[Question]) -> Edits:
    """Return which questions are others than the manifest says."""
    now = {question.id: question for question in questions}
    return Edits(
        added=tuple(id for id in now if id not in manifest.questions),
        removed=tuple(sorted(set(manifest.questions) - set(now))),
        changed=tuple(
            id
            for id, question in now.items()
            if manifest.questions.get(id, known := short_digest(question)) != known
        ),
    )
