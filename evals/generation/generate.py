"""Generation of a set: item by item to the wanted number, going on from where an earlier run stopped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import GenerationError
from rag_evals.evals.base.messages import count_of, printable
from rag_evals.evals.generation.candidate import Candidate
from rag_evals.evals.generation.planner import Planner, targets_in_turn
from rag_evals.evals.generation.rules.default_rules import CRITERIA, default_rules
from rag_evals.evals.generation.rules.rule import Rule
from rag_evals.evals.generation.text.passages import Survey, all_passages, survey
from rag_evals.evals.generation.text.target_sentences import TargetSentence
from rag_evals.evals.generation.work_file import WorkFile, WorkItem, done_of, work_path
from rag_evals.evals.generation.writing.prompts import PROMPT_VERSION
from rag_evals.evals.generation.writing.reply_checks import InvalidItemError
from rag_evals.evals.generation.writing.writer import PlannedQuestion, write
from rag_evals.evals.questions.manifest import is_curated
from rag_evals.evals.questions.question import Question
from rag_evals.evals.questions.question_set import load_set, save_set
from rag_evals.evals.questions.reviewing.review import review_path
from rag_evals.evals.runs.masking import masked_fingerprint, masked_text
from rag_evals.rag.documents.document import Corpus
from rag_evals.rag.llm.protocol import LLM
from rag_evals.rag.retrieval.embedder import Embedder

# Replies in a row that are no valid item: a model that gives so many has not understood.
MOST_INVALID = 12
SHOWN_OUTPUTS = 3
# Items in a row of which none is kept. Where one in twenty is, that is bad luck in one case of 170.
MOST_FRUITLESS = 100
# The rule that needs none: its name in the work file and the summary.
REPEATED = "repeated"


@dataclass(slots=True)
class GenerationProgress:
    """What a run has done so far.

    Attributes:
        kept: The candidates that passed every rule, in order.
        dropped: How many each rule dropped.
        invalid: How many replies were no valid item.
        tried: Items by kind.
        resumed: Items that an earlier run had done.
        given_up: Kinds that ended before their share was reached, and why.
        is_exhausted: Whether the documents gave all they have.
    """

    kept: list[Candidate] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    invalid: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    given_up: Mapping[str, str] = field(default_factory=dict)
    is_exhausted: bool = False

    def add(self, done: WorkItem) -> None:
        """Count what became of an item."""
        self.tried[done.kind] += 1
        if done.outcome == "kept" and done.candidate:
            self.kept.append(done.candidate)
        elif done.outcome == "dropped":
            self.dropped[done.rule or ""] += 1
        else:
            self.invalid += 1

    @property
    def items(self) -> int:
        """Items done."""
        return sum(self.tried.values())


def generate(
    planner: Planner,
    llm: LLM,
    rules: Sequence[Rule],
    work: WorkFile,
    *,
    count: int,
    seed: int,
    restart: bool = False,
    on_item: Callable[[GenerationProgress], None] | None = None,
) -> GenerationProgress:
    """Write what `planner` says until `count` questions are kept, or nothing is left to ask about.

    The rules decide what is kept, cheapest first: the first that drops a candidate ends it. Every item is
    kept in `work`, of which `restart` forgets what an earlier run did; `on_item` is called behind each.

    Raises:
        GenerationError: The work is of another run, the model gives nothing valid `MOST_INVALID` times in a
            row, or nothing that is kept `MOST_FRUITLESS` times; then the last ones are shown.
        RagError: A model cannot be loaded or reached.
    """
    outcome = GenerationProgress()
    earlier = work.load(restart=restart)
    fruitless: list[WorkItem] = []
    while len(outcome.kept) < count:
        item = planner.next(outcome.kept)
        if item is None:
            outcome.is_exhausted = True
            break
        if outcome.items < len(earlier):
            done = _recalled(earlier[outcome.items], item, work)
            outcome.resumed += 1
        else:
            done = _done(item, llm, rules, outcome.kept, seed)
            work.append(done)
        outcome.add(done)
        if on_item:
            on_item(outcome)
        fruitless = [] if done.outcome == "kept" else [*fruitless, done]
        # What an earlier run gave up on is tried once more: the server may be another now.
        if outcome.items > len(earlier):
            _check_fruitful(fruitless, llm, outcome)
    outcome.given_up = planner.given_up
    return outcome


def _done(
    item: PlannedQuestion, llm: LLM, rules: Sequence[Rule], kept: Sequence[Candidate], seed: int
) -> WorkItem:
    try:
        candidate = write(item, llm, seed)
    except InvalidItemError as error:
        return done_of(item, "invalid", reason=str(error), output=error.output)
    same = next((other for other in kept if other.question.id == candidate.question.id), None)
    if same:
        reason = f"the very same question is kept already, as item {same.number}"
        return done_of(item, "dropped", reason=reason, rule=REPEATED, candidate=candidate)
    values: dict[str, float | None] = {}
    for rule in rules:
        found = rule.judge(candidate, kept)
        values[rule.name] = found.value
        if found.drop:
            return done_of(
                item,
                "dropped",
                reason=found.drop,
                rule=rule.name,
                value=found.value,
                threshold=rule.criterion.threshold,
                values=values,
                candidate=candidate,
            )
    return done_of(item, "kept", values=values, candidate=candidate)


def _recalled(done: WorkItem, item: PlannedQuestion, work: WorkFile) -> WorkItem:
    """Return what an earlier run did, once it is seen to be the same item."""
    if (done.number, done.kind, done.start) != (item.number, item.kind, item.target.start):
        raise GenerationError(
            f"{printable(str(work.path))}: item {done.number} is a {done.kind} at {done.start}, but would "
            f"be a {item.kind} at {item.target.start} now: another version wrote this file. Give "
            "--restart to begin anew, or another --out."
        )
    return done


def _check_fruitful(fruitless: Sequence[WorkItem], llm: LLM, outcome: GenerationProgress) -> None:
    """Look at the items since the last one that was kept.

    Raises:
        GenerationError: They are too many, or the last ones are nothing that the model was asked for.
    """
    invalid = len(list(takewhile(lambda done: done.outcome == "invalid", reversed(fruitless))))
    if invalid >= MOST_INVALID:
        headline = f"{printable(llm.name)} gave no valid item {invalid} times in a row; the last replies were"
    elif len(fruitless) >= MOST_FRUITLESS:
        why = Counter(done.rule or "no valid item" for done in fruitless).most_common()
        counts = ", ".join(f"{printable(rule)} {count}" for rule, count in why)
        headline = f"of the last {len(fruitless)} items none was kept ({counts}); the last ones were"
    else:
        return
    shown = [line for done in fruitless[-SHOWN_OUTPUTS:] for line in _shown(done)]
    remedies = [
        "Use a larger model (--llm, of a run --evals-model), or other kinds (--kinds). What was kept is "
        "kept: the same command goes on."
    ]
    if outcome.kept:
        remedies.append(f"Asked for {len(outcome.kept)}, it gives a set of the questions that there are.")
    raise GenerationError("\n".join([headline, *shown, *remedies]))


def _shown(done: WorkItem) -> tuple[str, str]:
    said = done.candidate.question.question if done.candidate else done.output or ""
    reason = f"{done.rule}: {done.reason}" if done.rule else done.reason or ""
    return f"  {printable(reason)}:", f"    {printable(said[:400])}"


@dataclass(frozen=True, slots=True)
class GenerationRequest:
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
class SurveyedCorpus:
    """What there is to ask about.

    Attributes:
        corpus: The documents.
        survey: Their passages.
        targets: The sentences, in the order in which they are asked about.
    """

    corpus: Corpus
    survey: Survey
    targets: Sequence[TargetSentence]

    @property
    def line(self) -> str:
        """What was found, for people."""
        return (
            f"{count_of(self.survey.documents, 'document')}, "
            f"{count_of(len(self.survey.passages), 'passage')}, "
            f"{count_of(len(self.targets), 'sentence')} to ask about"
        )


def surveyed_corpus(request: GenerationRequest, corpus: Corpus) -> SurveyedCorpus:
    """Find what `corpus` gives to ask about; no model is needed for it.

    Raises:
        GenerationError: It gives less than is wanted.
    """
    surveyed = survey(corpus)
    pages = {document.name: document.page_at for document in corpus.documents}
    targets = targets_in_turn(surveyed.passages, request.seed, pages)
    check_capacity(request.count, surveyed, targets)
    return SurveyedCorpus(corpus, surveyed, targets)


def make_set(
    request: GenerationRequest,
    material: SurveyedCorpus,
    llm: LLM,
    embedder: Embedder,
    on_item: Callable[[GenerationProgress], None] | None = None,
) -> GenerationProgress:
    """Write the set: questions, manifest, and the work of each item beside them.

    The model writes, and answers what the rules ask; the embedder finds sentences and questions that are
    alike; `on_item` is called behind every item.

    Raises:
        GenerationError: The work is of another run, or the model gives nothing valid.
        RagError: A model cannot be loaded or reached.
    """
    outcome = generate(
        Planner(material.targets, request.mix, embedder.embed),
        llm,
        default_rules(llm, embedder, all_passages(material.corpus), request.curated),
        WorkFile(work_path(request.out), work_header(request, material.corpus, llm)),
        count=request.count,
        seed=request.seed,
        restart=request.restart,
        on_item=on_item,
    )
    if outcome.kept:
        kept = [one.question for one in outcome.kept]
        save_set(request.out, kept, material.corpus, generator_of(request, llm))
    return outcome


def work_header(request: GenerationRequest, corpus: Corpus, llm: LLM) -> dict[str, Any]:
    """Return what the items of a set depend on, as the head of their file holds it."""
    thresholds = {criterion.name: criterion.threshold for criterion in CRITERIA}
    return {**generator_of(request, llm), "corpus": corpus.sha256, "rules": thresholds}


def generator_of(request: GenerationRequest, llm: LLM) -> dict[str, Any]:
    """Return what writes the set, as its manifest holds it."""
    return {
        "llm": masked_text(llm.name),
        "llm_fingerprint": masked_fingerprint(llm.fingerprint),
        "prompt_version": PROMPT_VERSION,
        "seed": request.seed,
        "mix": dict(request.mix),
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
    """Return what a person did to the set in `out` since it was written; None for nothing.

    Raises:
        QuestionFileError: It is damaged.
    """
    if not out.exists():
        return None
    found = load_set(out)
    if found.edits or any(is_curated(question) for question in found.questions):
        return "edited by hand"
    return "reviewed" if review_path(out).exists() else None


def check_capacity(count: int, surveyed: Survey, targets: Sequence[TargetSentence]) -> None:
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
