"""Documents to a question set: the whole way, for the command and for `pytest --evals-generate`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evals.entries import counted
from evals.errors import GenerationError, printable
from evals.generation.filters import CRITERIA, default_rules
from evals.generation.passages import Survey, survey, windows_of
from evals.generation.planning import Planner, targets_in_turn
from evals.generation.running import Outcome, generate
from evals.generation.targets import Target
from evals.generation.wordings import PROMPT_VERSION
from evals.generation.working import WorkFile, work_path
from evals.manifests import is_curated
from evals.question_sets import load_set, save_set
from evals.questions import Question
from evals.reviewing import review_path
from rag.documents import Corpus
from rag.embedding import Embedder
from rag.llm.protocol import LLM


@dataclass(frozen=True, slots=True)
class Order:
    """What set is wanted.

    Attributes:
        out: File of the set.
        count: Questions wanted.
        mix: Per cent of each kind.
        seed: Decides which sentences are asked about, and in which order.
        curated: Questions that are not to be asked again.
        restart: Whether the work of an earlier run is forgotten.
    """

    out: Path
    count: int
    mix: Mapping[str, int]
    seed: int
    curated: Sequence[Question] = ()
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to ask about.

    Attributes:
        corpus: The documents.
        survey: Their passages.
        targets: The sentences, in the order in which they are asked about.
    """

    corpus: Corpus
    survey: Survey
    targets: Sequence[Target]

    @property
    def line(self) -> str:
        """What was found, for people."""
        return (
            f"{counted(self.survey.documents, 'document')}, "
            f"{counted(len(self.survey.passages), 'passage')}, "
            f"{counted(len(self.targets), 'sentence')} to ask about"
        )


def material_for(order: Order, corpus: Corpus) -> Material:
    """Find what `corpus` gives to ask about; no model is needed for it.

    Raises:
        GenerationError: It gives less than is wanted.
    """
    surveyed = survey(corpus)
    pages = {document.name: document.page_at for document in corpus.documents}
    targets = targets_in_turn(surveyed.passages, order.seed, pages)
    check_capacity(order.count, surveyed, targets)
    return Material(corpus, surveyed, targets)


def make_set(
    order: Order,
    material: Material,
    llm: LLM,
    embedder: Embedder,
    on_item: Callable[[Outcome], None] | None = None,
) -> Outcome:
    """Write the set: questions, manifest, and the work of each item beside them.

    Args:
        order: What is wanted.
        material: What there is to ask about.
        llm: Writes, and answers what the rules ask.
        embedder: Finds sentences and questions that are alike.
        on_item: Called behind every item.

    Raises:
        GenerationError: The work is of another run, or the model gives nothing valid.
        RagError: A model cannot be loaded or reached.
    """
    outcome = generate(
        Planner(material.targets, order.mix, embedder.embed),
        llm,
        default_rules(llm, embedder, windows_of(material.corpus), order.curated),
        WorkFile(work_path(order.out), work_of(order, material.corpus, llm)),
        count=order.count,
        seed=order.seed,
        restart=order.restart,
        on_item=on_item,
    )
    if outcome.kept:
        kept = [one.question for one in outcome.kept]
        save_set(order.out, kept, material.corpus, generator_of(order, llm))
    return outcome


def work_of(order: Order, corpus: Corpus, llm: LLM) -> dict[str, Any]:
    """Say what the items of a set depend on, as the head of their file holds it."""
    thresholds = {criterion.name: criterion.threshold for criterion in CRITERIA}
    return {**generator_of(order, llm), "corpus": corpus.sha256, "rules": thresholds}


def generator_of(order: Order, llm: LLM) -> dict[str, Any]:
    """Say what writes the set, as its manifest holds it."""
    return {
        "llm": llm.name,
        "llm_fingerprint": llm.fingerprint,
        "prompt_version": PROMPT_VERSION,
        "seed": order.seed,
        "mix": dict(order.mix),
    }


def check_out(out: Path) -> None:
    """See that `out` holds nothing that a person wrote, changed or reviewed.

    Raises:
        GenerationError: It does, or its name is none of a question set.
    """
    place = printable(str(out))
    if out.suffix.lower() != ".jsonl":
        raise GenerationError(f"--out {place}: a question set ends in .jsonl")
    if out.exists() and not work_path(out).exists():
        raise GenerationError(f"{place} is there already and is not of this command: give another --out")
    if how := touched(out):
        raise GenerationError(f"{place} was {how} since it was written: give another --out")


def touched(out: Path) -> str | None:
    """Say what a person did to the set in `out` since it was written; None for nothing.

    Raises:
        QuestionFileError: It is damaged.
    """
    if not out.exists():
        return None
    found = load_set(out)
    if found.edits or any(is_curated(question) for question in found.questions):
        return "edited by hand"
    return "reviewed" if review_path(out).exists() else None


def check_capacity(count: int, surveyed: Survey, targets: Sequence[Target]) -> None:
    """See that the documents can give `count` questions: one for each sentence that can be asked about.

    Raises:
        GenerationError: They cannot; says how many they can give, and why not more.
    """
    if count <= len(targets):
        return
    passages, documents = len(surveyed.passages), surveyed.documents
    lines = [
        f"{count} questions are wanted, but the documents can give at most {len(targets)}: one for each "
        f"sentence that can be asked about by itself, of {passages} passage{'s' * (passages != 1)} in "
        f"{documents} document{'s' * (documents != 1)} of {surveyed.words:,} words",
        *(f"  left out: {line}" for line in surveyed.lines),
        f"Ask for {len(targets)} or fewer, or give more documents." if targets else "Give more documents.",
    ]
    raise GenerationError("\n".join(lines))
