"""Question sets: a question file, and beside it a manifest that tells whether and how it was edited.

`questions.jsonl` has its manifest in `questions.manifest.json`. A question file needs none: without it
nothing is known of edits, of the documents and of the generator, and all else works.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.base.files import replace_file
from rag_evals.evals.base.messages import display_path, listing, printable, quoted
from rag_evals.evals.questions.load import load_questions
from rag_evals.evals.questions.manifest import (
    Edits,
    Manifest,
    edits_since,
    load_manifest,
    manifest_of,
    save_manifest,
)
from rag_evals.evals.questions.question import Question, question_to_json, to_line
from rag_evals.rag.documents.document import Corpus

NO_EDITS = Edits()


@dataclass(frozen=True, slots=True)
class QuestionSet:
    """A question file as it is now.

    Attributes:
        path: The file.
        questions: Its questions, in its order.
        manifest: What was true when it was last written; None without one.
        edits: What was edited since; nothing when there is no manifest.
    """

    path: Path
    questions: tuple[Question, ...]
    manifest: Manifest | None = None
    edits: Edits = NO_EDITS


def save_set(
    path: Path,
    questions: Sequence[Question],
    corpus: Corpus | None = None,
    generator: Mapping[str, Any] | None = None,
) -> Manifest:
    """Write a question set: the question file, and its manifest beside it.

    Args:
        path: A file ending in .jsonl; what it held is gone.
        questions: The questions, in the order of the file.
        corpus: The documents that their sources are in.
        generator: What wrote them: model, its fingerprint, prompt version, seed, mix.

    Raises:
        QuestionFileError: The name has another ending, an id stands twice, or a file cannot be written.
    """
    if path.suffix.lower() != ".jsonl":
        raise QuestionFileError(
            printable(f"{display_path(path)}: a question set ends in .jsonl, not in {quoted(path.suffix)}")
        )
    twice = [id for id, count in Counter(question.id for question in questions).items() if count > 1]
    if twice:
        raise QuestionFileError(listing("ids that stand twice, so nothing was written:", map(quoted, twice)))
    replace_file(path, "".join(f"{to_line(question_to_json(question))}\n" for question in questions))
    manifest = manifest_of(questions, corpus, generator)
    save_manifest(path, manifest)
    return manifest


def load_set(path: Path) -> QuestionSet:
    """Read a question file and its manifest, and tell what was edited between them.

    Raises:
        QuestionFileError: The questions are wrong, or the manifest is damaged or of a later version.
    """
    questions = load_questions([path])
    manifest = load_manifest(path)
    edits = edits_since(manifest, questions) if manifest else NO_EDITS
    return QuestionSet(path, questions, manifest, edits)


def marked_edits(questions: Sequence[Question], edits: Edits) -> tuple[Question, ...]:
    """Mark what was edited by hand: where a question came from is kept, that it was edited is added."""
    added, changed = set(edits.added), set(edits.changed)
    return tuple(_marked(q, is_new=q.id in added) if q.id in added | changed else q for q in questions)


def edited(question: Question) -> Question:
    """Mark a question as edited by hand; one that a person wrote needs no mark."""
    return _marked(question, is_new=False)


def _marked(question: Question, *, is_new: bool) -> Question:
    if question.provenance is None:
        return replace(question, provenance={"origin": "curated"}) if is_new else question
    if is_new or question.provenance.get("origin") == "curated":
        return question
    return replace(question, provenance={**question.provenance, "edited": True})
