"""Sets of labelled answers: a label file of one's own, and public sets in the form that they come in.

RAGTruth (Niu et al. 2024) has two files: `response.jsonl`, answers with the spans that people marked, and
`source_info.jsonl`, the questions and passages. Its answers to questions are read, those of good quality.
MTRAG (Katsis et al. 2025) has one JSON file with the tasks of conversations, their documents and what two or
three people said of each answer. Both are read as JSON Lines too, an answer a line with its contexts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import LabelFileError
from rag_evals.evals.base.messages import kind_name, listing, quoted, short_repr
from rag_evals.evals.judges.calibration.labels.examples import (
    Entry,
    Labelled,
    gathered,
    load_labels,
    parse_contexts,
    parse_spans,
)
from rag_evals.evals.judges.calibration.labels.people import files_named, is_of_people, load_people
from rag_evals.evals.judges.prompts import in_conversation
from rag_evals.evals.questions.entries import Fault, read_entries, readers_for
from rag_evals.evals.questions.fields import parse_list, parse_text
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Message
from rag_evals.rag.identity import digest

# People rate MTRAG's answers from 1 to 4: an answer of this mean is faithful, and a person who gives as much
# says so.
FAITHFUL_FROM = 3
_LINES = {
    suffix: reader for suffix, reader in readers_for("answers").items() if suffix in (".jsonl", ".ndjson")
}


def load_sets(specs: Sequence[str], own: Collection[str] = ()) -> tuple[Labelled, ...]:
    """Read sets of labelled answers, each example with the name of its set.

    Args:
        specs: `ragtruth:PATH`, `mtrag:PATH` (named by the part before the colon), or the path of a label file
            (named by its file). Files that say who labelled are one set, in which each answer stands once.
        own: Names of criteria of a project's own, which label files label by their names.

    Raises:
        LabelFileError: A set cannot be read, or two have one name.
    """
    examples: dict[str, tuple[Labelled, ...]] = {}
    people = [Path(spec) for spec in specs if not _form_of(spec) and is_of_people(Path(spec), own)]
    if people:
        examples[files_named(people)] = tuple(
            replace(example, set=files_named(people)) for example in load_people(people, own)
        )
    for spec in specs:
        if Path(spec) in people:
            continue
        form = _form_of(spec)
        name = form or Path(spec).name
        if name in examples:
            raise LabelFileError(
                f"--labels {spec}: there is a set {quoted(name)} already, put both into one file"
            )
        read = FORMS[form](Path(spec.removeprefix(f"{form}:"))) if form else load_labels(Path(spec), own)
        examples[name] = tuple(replace(example, set=name) for example in read)
    return tuple(example for of_set in examples.values() for example in of_set)


def _form_of(spec: str) -> str:
    """Return the form that the name of a set begins with; nothing for a label file."""
    form, _, rest = spec.partition(":")
    return form if form in FORMS and rest else ""


def sample(examples: Iterable[Labelled], most: int) -> tuple[Labelled, ...]:
    """Return at most `most` examples of each set, always the same: whole sources, by their names' hash."""
    by_source: dict[tuple[str, str], list[Labelled]] = {}
    for example in examples:
        by_source.setdefault((example.set, example.source), []).append(example)
    taken: Counter[str] = Counter()
    kept = set()
    for name, source in sorted(by_source, key=digest):
        if taken[name] + len(by_source[name, source]) <= most:
            taken[name] += len(by_source[name, source])
            kept.add((name, source))
    return tuple(example for key, held in by_source.items() if key in kept for example in held)


def set_names(examples: Iterable[Labelled]) -> tuple[str, ...]:
    """Return the names of the sets that examples are part of, in their order."""
    return tuple(dict.fromkeys(example.set for example in examples))


# --- RAGTruth ---


def _load_ragtruth(path: Path) -> tuple[Labelled, ...]:
    """Read RAGTruth: its folder or `response.jsonl` of it, or one file of answers with their passages."""
    file = path / "response.jsonl" if path.is_dir() else path
    lines = list(read_entries(file, "files of RAGTruth", _LINES))
    first = next((value for _, value in lines if isinstance(value, dict)), {})
    if "response" not in first:
        return gathered(file, ((place, _ragtruth_line(value)) for place, value in lines))
    sources = _ragtruth_sources(file.with_name("source_info.jsonl"))
    read = ((place, _ragtruth_response(value, sources)) for place, value in lines)
    return gathered(file, ((place, entry) for place, entry in read if entry is not None))


def _ragtruth_sources(file: Path) -> dict[str, Mapping[str, Any]]:
    """Return the lines of `source_info.jsonl` by their id."""
    sources, problems = {}, []
    for place, value in read_entries(file, "files of RAGTruth", _LINES):
        found: list[str] = []
        entry = _object(value, found)
        source = parse_text(entry, "source_id", found, is_required=True) if entry is not None else None
        if source is not None and entry is not None:
            sources[source] = entry
        problems += [f"{place}: {problem}" for problem in found]
    if problems:
        raise LabelFileError(listing("RAGTruth's sources cannot be read:", problems))
    return sources


def _ragtruth_response(value: object, sources: Mapping[str, Mapping[str, Any]]) -> Entry | Fault | None:
    """Return the example of a line of `response.jsonl`; None where it answers no question or was cut."""
    problems: list[str] = []
    entry = _object(value, problems)
    if entry is None:
        return Fault(tuple(problems))
    source = parse_text(entry, "source_id", problems, is_required=True) or ""
    if not problems and source not in sources:
        return Fault((f"source {quoted(source)} is not in source_info.jsonl",))
    about = sources.get(source, {})
    if about.get("task_type") != "QA" or entry.get("quality") != "good":
        return Fault(tuple(problems)) if problems else None
    asked = about.get("source_info")
    if not isinstance(asked, dict):
        return Fault((f'"source_info" of {quoted(source)} is not an object but {kind_name(asked)}',))
    question = parse_text(asked, "question", problems, is_required=True) or ""
    passages = parse_text(asked, "passages", problems, is_required=True) or ""
    marks = parse_list(entry, "labels", "marks", problems)
    spans = [[mark.get("start"), mark.get("end")] if isinstance(mark, dict) else mark for mark in marks]
    line = {
        "id": entry.get("id"),
        "question": question,
        "contexts": _passages(passages),
        "answer": entry.get("response"),
        "spans": spans,
        "faithful": int(not spans),
        "source": source,
    }
    return Fault(tuple(problems)) if problems else _ragtruth_line(line)


_PASSAGE = re.compile(r"^passage \d+:", re.MULTILINE)


def _passages(text: str) -> list[str]:
    """Return the passages of a text in which each begins with `passage 1:`."""
    return [part.strip() for part in _PASSAGE.split(text) if part.strip()]


def _ragtruth_line(value: object) -> Entry | Fault:
    problems: list[str] = []
    entry = _object(value, problems)
    if entry is None:
        return Fault(tuple(problems))
    example = _example(entry, problems)
    spans = parse_spans(entry, example.answer.text, problems)
    if entry.get("spans") is None:
        problems.append('missing "spans": RAGTruth marks what is not supported, [] where nothing is')
    label = _is_faithful(entry, problems)
    if problems:
        return Fault(tuple(problems))
    return (replace(example, labels=(("faithfulness", label),), spans=spans),)


def _is_faithful(entry: Mapping[str, Any], problems: list[str]) -> int:
    label = entry.get("faithful")
    if label in (0, 1) and not isinstance(label, bool):
        return int(label)
    if label is not None:  # else it is missed beside the spans
        problems.append(f'"faithful" = {short_repr(label)} is no label: write 1 or 0')
    return 0


# --- MTRAG ---


def _load_mtrag(path: Path) -> tuple[Labelled, ...]:
    """Read MTRAG: the JSON file with its human ratings, or one answer a line with its conversation."""
    lines = read_entries(path, "files of MTRAG", {**_LINES, ".json": _mtrag_evaluations})
    return gathered(path, ((place, _mtrag_line(value)) for place, value in lines))


def _mtrag_evaluations(text: str) -> Iterator[tuple[int, Any]]:
    """Yield each rated answer of a file of MTRAG's evaluations, in either version of its form, as a line."""
    try:
        whole = parse_json(text)
    except ValueError as error:
        yield 0, Fault((f"invalid JSON: {error}",))
        return
    whole = whole if isinstance(whole, dict) else {}
    answers = whole.get("results", whole.get("evaluations"))
    parts = [_objects(part) for part in (whole.get("tasks"), whole.get("documents"), answers)]
    if not all(parts):
        problem = 'no lists "tasks", "documents" and "evaluations": is this a file of MTRAG\'s evaluations?'
        yield 0, Fault((problem,))
        return
    tasks = {str(task.get("task_id")): task for task in parts[0]}
    texts = {str(document.get("document_id")): document.get("text") for document in parts[1]}
    for answer in parts[2]:
        ratings = _raters(answer.get("scores", answer.get("annotations")))
        of_task = str(answer.get("task_id"))
        name = f"{of_task} {answer.get('model_id')}"
        if not ratings:  # the larger files have figures of models alone
            continue
        if of_task not in tasks:
            yield 0, Fault((f"evaluation {quoted(name)} is of no task of the file",))
            continue
        said = {"answer": _output(answer), "faithfulness": ratings}
        source = _conversation(tasks[of_task])
        yield 0, {"id": name, "source": source, **_asked(tasks[of_task], texts), **said}


def _objects(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of a list, none of what is no list."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _conversation(task: Mapping[str, Any]) -> str:
    """Return the conversation of a task: its id is that of the conversation and the number of the turn."""
    return str(task.get("conversation_id") or re.split(r"<::>|-(?=\d+$)", str(task.get("task_id")))[0])


def _output(evaluation: Mapping[str, Any]) -> object:
    output = evaluation.get("output")
    return output.get("value") if isinstance(output, dict) else evaluation.get("model_response")


def _asked(task: Mapping[str, Any], texts: Mapping[str, object]) -> dict[str, Any]:
    """Return question, history and contexts of a task."""
    turns = _objects(task.get("input"))
    said = [[turn.get("speaker", turn.get("role")), turn.get("text", turn.get("content"))] for turn in turns]
    contexts = _objects(task.get("contexts"))
    return {
        "question": said[-1][1] if said else None,
        "history": said[:-1],
        "contexts": [one.get("text") or texts.get(str(one.get("document_id"))) for one in contexts],
    }


def _raters(rated: object) -> list[Any]:
    """Return the numbers that people gave for faithfulness, whatever their names."""
    of_metric = rated.get("faithfulness") if isinstance(rated, dict) else None
    given = of_metric.values() if isinstance(of_metric, dict) else ()
    values = [one.get("value") if isinstance(one, dict) else one for one in given]
    return [int(value) if isinstance(value, str) and value.isdecimal() else value for value in values]


def _mtrag_line(value: object) -> Entry | Fault:
    problems: list[str] = []
    entry = _object(value, problems)
    if entry is None:
        return Fault(tuple(problems))
    ratings = parse_list(entry, "faithfulness", "people's ratings", problems)
    if not ratings and not problems:
        problems.append('missing "faithfulness": MTRAG has people\'s ratings from 1 to 4')
    for number, rating in enumerate(ratings):
        if isinstance(rating, bool) or not isinstance(rating, int | float) or not 1 <= rating <= 4:
            problems.append(f"faithfulness[{number}] = {short_repr(rating)} is no rating from 1 to 4")
    before = _parse_history(entry, problems)
    example = _example(entry, problems)
    if problems:
        return Fault(tuple(problems))
    question = replace(example.question, question=in_conversation(before, example.question.question))
    label = int(fmean(ratings) >= FAITHFUL_FROM)
    verdicts = tuple(int(rating >= FAITHFUL_FROM) for rating in ratings)
    labels, of_people = (("faithfulness", label),), (("faithfulness", verdicts),)
    return (replace(example, question=question, labels=labels, ratings=of_people),)


def _parse_history(entry: Mapping[str, Any], problems: list[str]) -> list[Message]:
    """Return what was said before the question, in its order; whoever is not the user is what answers."""
    turns = []
    for number, turn in enumerate(parse_list(entry, "history", "turns", problems)):
        if isinstance(turn, list) and len(turn) == 2 and all(isinstance(part, str) for part in turn):
            turns.append(Message("user" if turn[0] == "user" else "assistant", turn[1]))
        else:
            problems.append(f"history[{number}] = {short_repr(turn)} is no turn: write [speaker, text]")
    return turns


# --- both ---


def _object(value: object, problems: list[str]) -> Mapping[str, Any] | None:
    if isinstance(value, dict):
        return value
    problems += value.problems if isinstance(value, Fault) else [f"not an object but {kind_name(value)}"]
    return None


def _example(entry: Mapping[str, Any], problems: list[str]) -> Labelled:
    """Return the example of an entry, without labels; keys that say nothing to a judge are passed over."""
    id_ = parse_text(entry, "id", problems, is_required=True) or ""
    question = parse_text(entry, "question", problems, is_required=True) or ""
    contexts = parse_contexts(entry, problems)
    text = parse_text(entry, "answer", problems, is_required=True, may_be_blank=True) or ""
    source = parse_text(entry, "source", problems) or id_
    return Labelled(Question(id_, question), Answer(text, contexts), (), source)


FORMS: Mapping[str, Callable[[Path], tuple[Labelled, ...]]] = {
    "ragtruth": _load_ragtruth,
    "mtrag": _load_mtrag,
}
