"""Label files of several people put together: the majority of each answer, ties, and who said what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.base.messages import count_of, display_path, listing, printable
from rag_evals.evals.judges.calibration.labels.examples import (
    BY_CONTEXT,
    LABELS,
    Entry,
    Labelled,
    checked_count,
    context_content,
    entry_name,
    read_label_file,
)
from rag_evals.evals.questions.entries import gather
from rag_evals.evals.questions.question import messages_to_json

Placed: TypeAlias = tuple[str, Labelled]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one person says of one answer by one metric.

    Attributes:
        labeller: The person.
        label: 1 or 0; None where they cannot tell.
        place: File and line.
    """

    labeller: str
    label: int | None
    place: str


@dataclass(frozen=True, slots=True)
class JudgedAnswer:
    """An answer, or one of its contexts, with what people say of it.

    Attributes:
        example: The first of what was labelled; its labels are that person's.
        verdicts: By metric, in the order of the files.
        weights: By metric how many answers of the run it stands for; those of several draws added up.
    """

    example: Labelled
    verdicts: Mapping[str, tuple[Verdict, ...]]
    weights: Mapping[str, float] = field(default_factory=dict)

    def labels_for(self, metric: str) -> tuple[int, ...]:
        """Return the labels that people gave."""
        return tuple(one.label for one in self.verdicts.get(metric, ()) if one.label is not None)

    def majority(self, metric: str) -> int | None:
        """Return what most say; None where they are tied, or nobody could tell."""
        labels = self.labels_for(metric)
        yes, no = labels.count(1), labels.count(0)
        return None if yes == no else int(yes > no)

    def is_disputed(self, metric: str) -> bool:
        """Return whether people differ."""
        return len(set(self.labels_for(metric))) > 1


def load_people(paths: Sequence[Path], own: Collection[str] = ()) -> tuple[Labelled, ...]:
    """Read label files; answers that people labelled by name are put together, each once.

    Args:
        paths: The files, of one person each or of several.
        own: Names of criteria of a project's own, which are labelled by their names.

    Raises:
        LabelFileError: Something is wrong with them, one person labelled an answer twice, or they hold fewer
            than 20 examples.
    """
    entries = read_files(paths, own)
    named = [one for one in entries if one[1].labelling.labeller]
    others = [example for _, example in entries if not example.labelling.labeller]
    return checked_count((*others, *map(merged_example, judged_answers(named))), paths)


def is_of_people(path: Path, own: Collection[str] = ()) -> bool:
    """Return whether a label file says who labelled; one that cannot be read says nothing."""
    outcomes = read_label_file(path, own) if path.is_file() else ()
    return any(one.labelling.labeller for _, read in outcomes if isinstance(read, tuple) for one in read)


def read_people(paths: Sequence[Path]) -> tuple[JudgedAnswer, ...]:
    """Read label files of people; one that does not say whose it is has the name of the file.

    Raises:
        LabelFileError: Something is wrong with them, or one person labelled an answer twice.
    """
    return judged_answers(
        (place, example if example.labelling.labeller else _named(example, Path(place)))
        for place, example in read_files(paths)
    )


def _named(example: Labelled, place: Path) -> Labelled:
    return replace(example, by=replace(example.labelling, labeller=place.stem))


def read_files(paths: Sequence[Path], own: Collection[str] = ()) -> list[Placed]:
    """Return the examples of label files with their places.

    Raises:
        LabelFileError: Something is wrong with one of them; every problem is named.
    """
    read: list[Placed] = []
    problems: list[str] = []
    for path in dict.fromkeys(paths):
        outcomes = list(read_label_file(path, own))
        entries, wrong = gather(outcomes, entry_name)
        problems += wrong
        places = [place for place, outcome in outcomes if isinstance(outcome, tuple)]
        read += _placed(places, entries) if not wrong else []
    if problems:
        raise LabelFileError(listing(f"{count_of(len(problems), 'problem')} in label files:", problems))
    return read


def _placed(places: Sequence[str], entries: Sequence[Entry]) -> Iterator[Placed]:
    for place, entry in zip(places, entries, strict=True):
        for example in entry:
            yield place, example


# --- the same answer, several people ---


def judged_answers(placed: Iterable[Placed]) -> tuple[JudgedAnswer, ...]:
    """Return what was labelled, each answer once with what all say of it.

    Raises:
        LabelFileError: One person labelled an answer twice.
    """
    groups: dict[object, list[Placed]] = {}
    for place, example in placed:
        groups.setdefault(content_key(example), []).append((place, example))
    answers = tuple(_judged(group) for group in groups.values())
    _check_once(answers)
    return answers


def content_key(example: Labelled) -> tuple[object, ...]:
    """Return what tells answers apart: what people saw, and which pipeline it is of."""
    by = example.labelling
    question, answer = example.question, example.answer
    contexts = tuple(context.text for context in answer.contexts)
    seen = (question.question, question.history, question.reference, answer.text, contexts)
    return by.run, by.pipeline, by.question_id, is_of_context(example), *seen


def is_of_context(example: Labelled) -> bool:
    """Return whether it is one context that is labelled, not the answer."""
    return any(metric == LABELS[BY_CONTEXT] for metric, _ in example.labels)


def _judged(group: Sequence[Placed]) -> JudgedAnswer:
    verdicts: dict[str, list[Verdict]] = {}
    of_draws: dict[str | None, Mapping[str, float]] = {}
    for place, example in group:
        by = example.labelling
        of_draws[by.draw] = dict(by.weights)
        said: dict[str, int | None] = {**dict.fromkeys(by.unsure), **dict(example.labels)}
        if is_of_context(example):
            said = dict(example.labels)
        for metric, label in said.items():
            verdicts.setdefault(metric, []).append(Verdict(by.labeller or "", label, place))
    weights = {
        metric: total
        for metric in verdicts
        if (total := sum(of_draw.get(metric, 0.0) for of_draw in of_draws.values()))
    }
    return JudgedAnswer(group[0][1], {metric: tuple(said) for metric, said in verdicts.items()}, weights)


def _check_once(answers: Iterable[JudgedAnswer]) -> None:
    """Hold people to one verdict an answer.

    Raises:
        LabelFileError: Somebody has two; the first of each pair of files is shown.
    """
    twice: Counter[tuple[str, str, str]] = Counter()
    shown: dict[tuple[str, str, str], tuple[str, str]] = {}
    for answer in answers:
        for pair in {pair for said in answer.verdicts.values() for pair in _doubles(said)}:
            name, first, second = pair
            files = (name, first.rpartition(":")[0], second.rpartition(":")[0])
            twice[files] += 1
            shown.setdefault(files, (first, second))
    if twice:
        headline = "one person counts once for an answer; leave out the older file, or write another name:"
        told = (
            f"{shown[key][1]}: {key[0].strip()} labelled this already at {shown[key][0]}{_more(count - 1)}"
            for key, count in twice.items()
        )
        raise LabelFileError(listing(headline, map(printable, told)))


def _more(count: int) -> str:
    return f", and {count_of(count, 'more answer')} of these files" if count else ""


def _doubles(verdicts: Iterable[Verdict]) -> Iterator[tuple[str, str, str]]:
    first: dict[str, str] = {}
    for one in verdicts:
        name = one.labeller.strip().casefold()
        if name in first:
            yield one.labeller, first[name], one.place
        first.setdefault(name, one.place)


def merged_example(answer: JudgedAnswer) -> Labelled:
    """Return an answer with what most people say of it, and as ratings what each says."""
    example = answer.example
    labels = tuple((m, label) for m in sorted(answer.verdicts) if (label := answer.majority(m)) is not None)
    of_context = is_of_context(example)
    ratings = tuple(
        (metric, given)
        for metric in sorted(answer.verdicts)
        if len(given := answer.labels_for(metric)) > 1 and not of_context
    )
    nobody = tuple(metric for metric in sorted(answer.verdicts) if not answer.labels_for(metric))
    by = replace(
        example.labelling,
        labeller=None,
        time=None,
        unsure=nobody,
        weights=tuple(sorted(answer.weights.items())),
    )
    # Two people mark the same words in two ways; what most of them marked is not known.
    spans = example.spans if len(answer.verdicts.get("faithfulness", ())) == 1 else None
    return replace(example, labels=labels, ratings=ratings, spans=spans, by=by)


# --- a merged file ---


def merged_entries(answers: Iterable[JudgedAnswer]) -> list[dict[str, Any]]:
    """Return the lines of a merged file: answers that have a label, or that nobody could tell."""
    names: Counter[str] = Counter()
    lines = []
    for answer in answers:
        example = merged_example(answer)
        if not example.labels and not example.labelling.unsure:
            continue
        names[example.question.id] += 1
        number = names[example.question.id]
        name = example.question.id if number == 1 else f"{example.question.id} ({number})"
        lines.append(example_to_json(example, name))
    return lines


def example_to_json(example: Labelled, name: str) -> dict[str, Any]:
    """Return an example as a line of a label file, under a name of its own."""
    keys = {metric: metric for metric, _ in example.labels} | {metric: key for key, metric in LABELS.items()}
    by = example.labelling
    labels = {
        keys[metric]: [label] if keys[metric] == BY_CONTEXT else label for metric, label in example.labels
    }
    line = {
        "id": name,
        "question": example.question.question,
        "history": messages_to_json(example.question.history),
        "reference": example.question.reference,
        "contexts": [context_content(context) for context in example.answer.contexts],
        "answer": example.answer.text,
        **labels,
        "ratings": {keys[metric]: list(given) for metric, given in example.ratings},
        "spans": None if example.spans is None else [list(span) for span in example.spans],
        "source": example.source,
        **{key: getattr(by, key) for key in ("run", "draw", "pipeline", "question_id")},
        "unsure": [keys[metric] for metric in by.unsure],
        "weights": {keys[metric]: weight for metric, weight in by.weights},
    }
    may_be_empty = ("contexts", "spans")
    return {
        key: value
        for key, value in line.items()
        if value is not None and (value not in ({}, []) or key in may_be_empty)
    }


def files_named(paths: Iterable[Path]) -> str:
    """Return the names of label files, for the name of their set."""
    return " + ".join(Path(display_path(path)).name for path in paths)
