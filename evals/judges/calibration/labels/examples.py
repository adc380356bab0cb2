"""Label files to labelled examples: answers that people judged, to measure and calibrate a judge by."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.base.messages import count_of, display_path, kind_name, listing, short_repr
from rag_evals.evals.judges.calibration.labels.labelling import (
    KEYS,
    NOTHING_SAID,
    Labelling,
    parse_labelling,
)
from rag_evals.evals.questions.conversation import parse_history
from rag_evals.evals.questions.entries import Fault, gather, read_entries, readers_for
from rag_evals.evals.questions.fields import (
    check_keys,
    parse_context_list,
    parse_list,
    parse_object,
    parse_text,
)
from rag_evals.evals.questions.question import Question, messages_to_json
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical, digest

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "faithful": "faithfulness",
        "relevant": "relevancy",
        "correct": "correctness",
        "declined": "refusal",
        "useful": "context_relevancy",
        "recalled": "context_recall",
    }
)
"""Field of a label file to the metric that it labels."""

# A label for each context, not for the answer.
BY_CONTEXT = "useful"

# A judge that hits 15 of 20 labels has an accuracy of 0.53 to 0.89 (Wilson, 95 %): barely told from a coin.
LEAST_ITEMS = 20


@dataclass(frozen=True, slots=True)
class Labelled:
    """One labelled example.

    Attributes:
        question: Id and question of the example, and the right answer if there is one.
        answer: The answer that was labelled, with its contexts.
        labels: Pairs of metric and label, 1 or 0, sorted by metric. See `label_for`.
        source: Where the example is from: examples of one source are resampled and left out together.
        spans: First character and the one behind the last of each part of the answer that people marked as
            not supported, in the order of the text; None where nobody looked for them.
        ratings: Pairs of metric and what each of the people who judged it said, 1 or 0.
        set: Name of the set it is part of.
        by: Who labelled it and of which draw it is; None where nothing is said of that.
    """

    question: Question
    answer: Answer = field(hash=False)  # it holds a mapping
    labels: tuple[tuple[str, int], ...]
    source: str
    spans: tuple[tuple[int, int], ...] | None = None
    ratings: tuple[tuple[str, tuple[int, ...]], ...] = ()
    set: str = ""
    by: Labelling | None = None

    @property
    def labelling(self) -> Labelling:
        """How its labels came to be, without anything where nothing is said of that."""
        return self.by or NOTHING_SAID

    def label_for(self, metric: str) -> int | None:
        """Return the label for a metric, None when it has none."""
        return dict(self.labels).get(metric)

    def weight_for(self, metric: str) -> float:
        """Return how many answers of its run it stands for by a metric; 1 where it was not drawn."""
        return dict(self.labelling.weights).get(metric, 1.0)

    def ratings_for(self, metric: str) -> tuple[int, ...]:
        """Return what each of the people said by a metric; nothing where that is not known."""
        return dict(self.ratings).get(metric, ())

    def agreement_for(self, metric: str) -> float | None:
        """Return the share of the people who agree with the label; None with fewer than two."""
        ratings, label = self.ratings_for(metric), self.label_for(metric)
        if len(ratings) < 2 or label is None:
            return None
        return ratings.count(label) / len(ratings)


# The examples of one entry of a file: what it labels by the answer, and each of its contexts that it labels.
Entry = tuple[Labelled, ...]


def load_labels(path: Path, own: Collection[str] = ()) -> tuple[Labelled, ...]:
    """Read a label file.

    Args:
        path: File ending in .jsonl, .ndjson, .json, .yaml or .yml.
        own: Names of criteria of a project's own, which are labelled by their names.

    Returns:
        The examples in the order of the file.

    Raises:
        LabelFileError: When anything is wrong with the file; lists every problem as `file:line: problem`.
            Also when it holds fewer than 20 examples.
    """
    return gathered(path, read_label_file(path, own))


def gathered(path: Path, outcomes: Iterable[tuple[str, Entry | Fault]]) -> tuple[Labelled, ...]:
    """Return the examples of all entries of a file.

    Args:
        path: The file, for the message.
        outcomes: Each entry's place, and its examples or what is wrong with it.

    Raises:
        LabelFileError: Something is wrong with one of them, or they are fewer than 20 examples.
    """
    entries, problems = gather(outcomes, entry_name)
    if problems:
        raise LabelFileError(listing(f"{count_of(len(problems), 'problem')} in label files:", problems))
    return checked_count((example for entry in entries for example in entry), [path])


def entry_name(entry: Entry) -> str:
    """Return what tells an entry of a file from the others: its id, and who labelled it."""
    name, labeller = entry[0].question.id, entry[0].labelling.labeller
    return f"{name} of {labeller}" if labeller else name


def checked_count(examples: Iterable[Labelled], paths: Sequence[Path]) -> tuple[Labelled, ...]:
    """Return the examples that have a label, if they are enough.

    Raises:
        LabelFileError: They are fewer than 20.
    """
    labelled = tuple(example for example in examples if example.labels)
    if len(labelled) < LEAST_ITEMS:
        names = ", ".join(map(display_path, paths))
        raise LabelFileError(f"{names}: {count_of(len(labelled), 'example')}, {_NEEDED}")
    return labelled


def labels_digest(examples: Iterable[Labelled]) -> str:
    """Return the SHA-256 of the examples, whatever their order and wherever they were read."""
    return digest(sorted(canonical(content_of(example)) for example in examples))


def lack_of(metric: str, examples: Iterable[Labelled]) -> str | None:
    """Return why the labels of a metric do not do: fewer than 20, or all alike; None when they do."""
    key = next((key for key, labelled in LABELS.items() if labelled == metric), metric)
    labels = [label for example in examples if (label := example.label_for(metric)) is not None]
    good = sum(labels)
    bad = len(labels) - good
    if len(labels) < LEAST_ITEMS:
        counts = f'{count_of(len(labels), "label")} of "{key}" ({good} are 1, {bad} are 0)'
        return f'{counts}, {_NEEDED}: add examples with "{key}"'
    if good and bad:
        return None
    there, lacking = (1, 0) if good else (0, 1)
    return (
        f'all {len(labels)} labels of "{key}" are {there}: '
        f"a judge's accuracy needs both classes, add examples with {lacking}"
    )


def usable_metrics(examples: Sequence[Labelled]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sort the metrics that `examples` label: those with labels enough, and what is wrong with the others."""
    labelled = {metric for example in examples for metric, _ in example.labels}
    names = [*LABELS.values(), *sorted(labelled.difference(LABELS.values()))]
    lacks = {metric: lack_of(metric, examples) for metric in names if metric in labelled}
    usable = tuple(metric for metric, lack in lacks.items() if lack is None)
    return usable, tuple(filter(None, lacks.values()))


_NEEDED = f"at least {LEAST_ITEMS} are needed to say how good a judge is"


def content_of(example: Labelled) -> dict[str, Any]:
    """Return what an example says, for its identity."""
    question, answer = example.question, example.answer
    return {
        "id": question.id,
        "question": question.question,
        "reference": question.reference,
        "contexts": [{key: getattr(context, key) for key in CONTEXT_KEYS} for context in answer.contexts],
        "answer": answer.text,
        "labels": dict(example.labels),
        "source": example.source,
        **({"history": messages_to_json(question.history)} if question.history else {}),
        **({} if example.spans is None else {"spans": example.spans}),
        **({"ratings": dict(example.ratings)} if example.ratings else {}),
        **({"weights": dict(example.labelling.weights)} if example.labelling.weights else {}),
    }


def context_content(context: Context) -> dict[str, Any]:
    """Return a context as a label file has it, without what says nothing."""
    parts = {key: getattr(context, key) for key in CONTEXT_KEYS}
    return {key: part for key, part in parts.items() if part not in (None, "")}


# --- file to examples ---

_READERS = readers_for("examples")
# What of a context a label file says.
CONTEXT_KEYS = ("text", "document", "page", "start", "end", "page_end")
_MARKS = ("spans", "ratings")
FILE_KEYS = (
    *("id", "question", "history", "contexts", "context", "answer", "reference"),
    *(*LABELS, *_MARKS, "source", "kind", *KEYS),
)


def read_label_file(path: Path, own: Collection[str] = ()) -> Iterator[tuple[str, Entry | Fault]]:
    """Yield the examples of each entry of a file, or what is wrong with it, with its place."""
    for place, value in read_entries(path, "label files", _READERS):
        yield place, value if isinstance(value, Fault) else _parse_entry(value, own)


def _parse_entry(value: object, own: Collection[str]) -> Entry | Fault:
    if not isinstance(value, dict):
        return Fault((f"not an object but {kind_name(value)}",))
    problems: list[str] = []
    known = {**LABELS, **{name: name for name in own}}
    check_keys(value, (*FILE_KEYS, *own), problems)
    question = Question(
        id=parse_text(value, "id", problems, is_required=True) or "",
        question=parse_text(value, "question", problems, is_required=True) or "",
        reference=parse_text(value, "reference", problems),
        history=parse_history(value, problems),
    )
    contexts = parse_contexts(value, problems)
    text = parse_text(value, "answer", problems, is_required=True, may_be_blank=True) or ""
    labels = _parse_labels(value, known, problems)
    useful = _parse_useful(value, problems)
    spans = parse_spans(value, text, problems)
    ratings = _parse_ratings(value, known, problems)
    source = parse_text(value, "source", problems) or question.id
    by = parse_labelling(value, known, problems)
    parse_text(value, "kind", problems)  # for the file's author
    if problems:
        return Fault(tuple(problems))
    example = Labelled(question, Answer(text, contexts), labels, source, spans, ratings, by=by)
    of_contexts = tuple(_by_context(example, useful))
    # One of which nobody could tell anything has no label, but is an entry.
    return (*((example,) if labels or not of_contexts else ()), *of_contexts)


def _by_context(example: Labelled, useful: Sequence[int | None]) -> Iterator[Labelled]:
    """Yield an example of its own for each context that is labelled: each is judged by itself."""
    for context, label in zip(example.answer.contexts, useful, strict=False):
        if label is not None:
            answer = replace(example.answer, contexts=(context,))
            labels = ((LABELS[BY_CONTEXT], label),)
            yield replace(example, answer=answer, labels=labels, spans=None, ratings=())


def parse_contexts(entry: Mapping[str, Any], problems: list[str]) -> tuple[Context, ...]:
    """Return the contexts of an entry, as texts or as the records have them; appends what is wrong."""
    given = [key for key in ("contexts", "context") if entry.get(key) is not None]
    if len(given) == 2:
        problems.append('both "contexts" and "context": give one of them')
    elif not given:
        problems.append('missing "contexts": give a list of texts, [] when there were none')
    elif given == ["context"]:
        text = parse_text(entry, "context", problems, may_be_blank=True) or ""
        return (Context(text),) if text.strip() else ()
    else:
        # One copied from the records has a score: no judge sees it.
        return tuple(replace(context, score=None) for context in parse_context_list(entry, problems))
    return ()


def _parse_labels(
    entry: Mapping[str, Any], known: Mapping[str, str], problems: list[str]
) -> tuple[tuple[str, int], ...]:
    given = {key: entry[key] for key in known if entry.get(key) not in (None, [])}
    useful = given.pop(BY_CONTEXT, None)
    if not given and (useful is None or _only_nulls(useful)) and not entry.get("unsure"):
        *keys, last = (f'"{key}"' for key in known)
        problems.append(f"no label: give {', '.join(keys)} or {last}")
    for key, label in given.items():
        _check_label(f'"{key}"', label, problems)
    for key in ("correct", "recalled"):
        if key in given and entry.get("reference") is None:
            problems.append(f'"{key}" without "reference": give the right answer, to compare with')
    return tuple(sorted((known[key], label) for key, label in given.items()))


def _only_nulls(labels: object) -> bool:
    return isinstance(labels, list) and all(label is None for label in labels)


def _check_label(name: str, label: object, problems: list[str], allowed: str = "1, 0 or null") -> None:
    if isinstance(label, bool):
        problems.append(f"{name} = {short_repr(label)} is no label: write 1 or 0")
    elif not isinstance(label, int) or label not in (0, 1):
        problems.append(f"{name} = {short_repr(label)} is no label: write {allowed}")


def _parse_useful(entry: Mapping[str, Any], problems: list[str]) -> list[int | None]:
    labels = parse_list(entry, BY_CONTEXT, "labels, one a context,", problems)
    given = entry.get("contexts")
    count = len(given) if isinstance(given, list) else 1
    if labels and len(labels) != count:
        problems.append(
            f'"{BY_CONTEXT}" has {count_of(len(labels), "label")} for {count_of(count, "context")}: '
            "give one a context, null for one that nobody judged"
        )
    for number, label in enumerate(labels):
        if label is not None:
            _check_label(f"{BY_CONTEXT}[{number}]", label, problems)
    return labels


def parse_spans(
    entry: Mapping[str, Any], answer: str, problems: list[str]
) -> tuple[tuple[int, int], ...] | None:
    """Return the marked parts of an answer in the order of the text, None when there is no such key.

    A mark has its first character, the one behind its last, and what else its author wrote.
    """
    if entry.get("spans") is None:
        return None
    wrong = len(problems)
    marks = parse_list(entry, "spans", "marks", problems)
    if len(problems) > wrong:
        return None
    for number, mark in enumerate(marks):
        if not _is_mark(mark):
            problems.append(
                f"spans[{number}] = {short_repr(mark)} is no mark: write [first character, the one behind it]"
            )
        elif not mark[0] < mark[1] <= len(answer):
            problems.append(
                f"spans[{number}] goes from {mark[0]} to {mark[1]}, the answer has {len(answer)} characters"
            )
    faithful = entry.get("faithful")
    if faithful == 1 and marks:
        problems.append('"faithful" = 1, but "spans" marks what is not supported: one of them is wrong')
    elif faithful == 0 and not marks:
        problems.append(
            '"faithful" = 0, but "spans" is empty: mark what is not supported, or leave "spans" out'
        )
    elif faithful is None:
        problems.append('"spans" without "faithful": give that too')
    return None if len(problems) > wrong else tuple(sorted((mark[0], mark[1]) for mark in marks))


def _is_mark(mark: object) -> bool:
    if not isinstance(mark, list) or len(mark) < 2:
        return False
    return all(isinstance(at, int) and not isinstance(at, bool) and at >= 0 for at in mark[:2])


def _parse_ratings(
    entry: Mapping[str, Any], known: Mapping[str, str], problems: list[str]
) -> tuple[tuple[str, tuple[int, ...]], ...]:
    ratings = parse_object(entry, "ratings", problems) or {}
    by_answer = [key for key in known if key != BY_CONTEXT]
    found = []
    for key, given in ratings.items():
        if key not in by_answer:
            problems.append(f'"ratings" of {short_repr(key)}: known are {", ".join(by_answer)}')
        elif not isinstance(given, list):
            problems.append(
                f'"ratings" of "{key}" is not a list but {kind_name(given)} ({short_repr(given)})'
            )
        else:
            for number, rating in enumerate(given):
                _check_label(f'"ratings" of "{key}"[{number}]', rating, problems, "1 or 0")
            found.append((known[key], tuple(given)))
    return tuple(sorted(found))
