"""Label files to labelled examples: answers that people judged, to measure and calibrate a judge by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.base.messages import count_of, display_path, kind_name, listing, short_repr
from rag_evals.evals.questions.entries import Fault, gather, read_entries, readers_for
from rag_evals.evals.questions.fields import (
    check_keys,
    check_span,
    parse_list,
    parse_text,
    parse_whole_number,
    text_problem,
)
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context
from rag_evals.rag.identity import canonical, digest

LABELS: Mapping[str, str] = MappingProxyType(
    {"faithful": "faithfulness", "relevant": "relevancy", "correct": "correctness", "declined": "refusal"}
)
"""Field of a label file to the metric that it labels."""

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
    """

    question: Question
    answer: Answer = field(hash=False)  # it holds a mapping
    labels: tuple[tuple[str, int], ...]
    source: str

    def label_for(self, metric: str) -> int | None:
        """Return the label for a metric, None when it has none."""
        return dict(self.labels).get(metric)


def load_labels(path: Path) -> tuple[Labelled, ...]:
    """Read a label file.

    Args:
        path: File ending in .jsonl, .ndjson, .json, .yaml or .yml.

    Returns:
        The examples in the order of the file.

    Raises:
        LabelFileError: When anything is wrong with the file; lists every problem as `file:line: problem`.
            Also when it holds fewer than 20 examples.
    """
    examples, problems = gather(_read(path), lambda example: example.question.id)
    if problems:
        raise LabelFileError(listing(f"{count_of(len(problems), 'problem')} in label files:", problems))
    if len(examples) < LEAST_ITEMS:
        raise LabelFileError(f"{display_path(path)}: {count_of(len(examples), 'example')}, {_NEEDED}")
    return tuple(examples)


def labels_digest(examples: Iterable[Labelled]) -> str:
    """Return the SHA-256 of the examples, whatever their order and wherever they were read."""
    return digest(sorted(canonical(_content(example)) for example in examples))


def lack_of(metric: str, examples: Iterable[Labelled]) -> str | None:
    """Return why the labels of a metric do not do: fewer than 20, or all alike; None when they do."""
    key = next(key for key, labelled in LABELS.items() if labelled == metric)
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
    lacks = {metric: lack_of(metric, examples) for metric in LABELS.values() if metric in labelled}
    usable = tuple(metric for metric, lack in lacks.items() if lack is None)
    return usable, tuple(filter(None, lacks.values()))


_NEEDED = f"at least {LEAST_ITEMS} are needed to say how good a judge is"


def _content(example: Labelled) -> dict[str, Any]:
    question, answer = example.question, example.answer
    return {
        "id": question.id,
        "question": question.question,
        "reference": question.reference,
        "contexts": [{key: getattr(context, key) for key in _CONTEXT_KEYS} for context in answer.contexts],
        "answer": answer.text,
        "labels": dict(example.labels),
        "source": example.source,
    }


# --- file to examples ---

_READERS = readers_for("examples")
_CONTEXT_KEYS = ("text", "document", "page", "start", "end", "page_end")
_KEYS = ("id", "question", "contexts", "context", "answer", "reference", *LABELS, "source", "kind")


def _read(path: Path) -> Iterator[tuple[str, Labelled | Fault]]:
    """Yield each example of a file, or what is wrong with it, with its place."""
    for place, value in read_entries(path, "label files", _READERS):
        yield place, value if isinstance(value, Fault) else _parse_example(value)


def _parse_example(value: object) -> Labelled | Fault:
    if not isinstance(value, dict):
        return Fault((f"not an object but {kind_name(value)}",))
    problems: list[str] = []
    check_keys(value, _KEYS, problems)
    question = Question(
        id=parse_text(value, "id", problems, is_required=True) or "",
        question=parse_text(value, "question", problems, is_required=True) or "",
        reference=parse_text(value, "reference", problems),
    )
    contexts = _parse_contexts(value, problems)
    text = parse_text(value, "answer", problems, is_required=True, may_be_blank=True) or ""
    labels = _parse_labels(value, problems)
    source = parse_text(value, "source", problems) or question.id
    parse_text(value, "kind", problems)  # for the file's author
    return Fault(tuple(problems)) if problems else Labelled(question, Answer(text, contexts), labels, source)


def _parse_contexts(entry: Mapping[str, Any], problems: list[str]) -> tuple[Context, ...]:
    given = [key for key in ("contexts", "context") if entry.get(key) is not None]
    if len(given) == 2:
        problems.append('both "contexts" and "context": give one of them')
    elif not given:
        problems.append('missing "contexts": give a list of texts, [] when there were none')
    elif given == ["context"]:
        text = parse_text(entry, "context", problems, may_be_blank=True) or ""
        return (Context(text),) if text.strip() else ()
    else:
        return _parse_context_list(parse_list(entry, "contexts", "texts", problems), problems)
    return ()


def _parse_context_list(values: Sequence[object], problems: list[str]) -> tuple[Context, ...]:
    contexts = []
    for number, value in enumerate(values):
        if isinstance(value, dict):
            found: list[str] = []
            contexts.append(_parse_context(value, found))
            problems += [f"contexts[{number}]: {problem}" for problem in found]
        elif problem := text_problem(value):
            problems.append(f"contexts[{number}] {problem}")
        else:
            contexts.append(Context(str(value)))
    return tuple(contexts)


def _parse_context(value: Mapping[str, Any], problems: list[str]) -> Context:
    # One copied from the records has a score too: passed over, as no judge sees it.
    check_keys(value, (*_CONTEXT_KEYS, "score"), problems)
    context = Context(
        text=parse_text(value, "text", problems, is_required=True) or "",
        document=parse_text(value, "document", problems, may_be_blank=True) or "",
        page=parse_whole_number(value, "page", 1, problems),
        start=parse_whole_number(value, "start", 0, problems),
        end=parse_whole_number(value, "end", 0, problems),
        page_end=parse_whole_number(value, "page_end", 1, problems),
    )
    check_span(context.start, context.end, problems)
    return context


def _parse_labels(entry: Mapping[str, Any], problems: list[str]) -> tuple[tuple[str, int], ...]:
    given = {key: entry[key] for key in LABELS if entry.get(key) is not None}
    if not given:
        *keys, last = (f'"{key}"' for key in LABELS)
        problems.append(f"no label: give {', '.join(keys)} or {last}")
    for key, label in given.items():
        if isinstance(label, bool):
            problems.append(f'"{key}" = {short_repr(label)} is no label: write 1 or 0')
        elif not isinstance(label, int) or label not in (0, 1):
            problems.append(f'"{key}" = {short_repr(label)} is no label: write 1, 0 or null')
    if "correct" in given and entry.get("reference") is None:
        problems.append('"correct" without "reference": give the right answer, to compare with')
    return tuple(sorted((LABELS[key], label) for key, label in given.items()))
