"""TREC run files: a line a document that was found, `query Q0 document rank score tag`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from rag_evals.evals.base.errors import RunFileError
from rag_evals.evals.base.files import read_plain
from rag_evals.evals.base.messages import count_of, display_path, listing, printable
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.rag.answer import Span


def trec_run(evaluations: Iterable[Evaluation]) -> str:
    """Return what evaluations found as a run file: each document once, where its first passage stands.

    The scores fall with the rank, as trec_eval orders by them and passes the ranks over; those of a pipeline
    need not. Of a question that was asked several times the first answer counts.
    """
    lines: dict[tuple[str, str], list[str]] = {}
    for one in evaluations:
        contexts = one.answer.contexts if one.answer else ()
        names = list(dict.fromkeys(context.document for context in contexts if context.document))
        key = (one.pipeline, one.question.id)
        if key not in lines:
            tag = _column(one.pipeline)
            lines[key] = [
                f"{one.question.id} Q0 {_column(name)} {rank} {len(names) - rank + 1} {tag}\n"
                for rank, name in enumerate(names, 1)
            ]
    return "".join(line for found in lines.values() for line in found)


def read_trec_run(path: Path) -> Mapping[str, tuple[Span, ...]]:
    """Read a run file: the documents that were found, best first, by the id of the query.

    They are ordered by score, as trec_eval does, and those of one score by rank.

    Raises:
        RunFileError: It cannot be read, or lines are wrong; each is named.
    """
    try:
        text = read_plain(path).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RunFileError(
            printable(f"{display_path(path)} cannot be read as a TREC run: {reason}")
        ) from error
    found: dict[str, dict[str, tuple[float, int]]] = {}
    problems = []
    for number, line in enumerate(text.split("\n"), 1):
        cells = line.split()
        problem = _problem(cells, found) if cells else None
        if problem:
            problems.append(f"{display_path(path)}:{number}: {problem}")
        elif cells:
            query, _, document, rank, score, _ = cells
            found.setdefault(query, {})[document] = (-float(score), int(rank))
    if problems:
        headline = f"{count_of(len(problems), 'problem')} in a TREC run:"
        raise RunFileError(listing(headline, map(printable, problems)))
    return {
        query: tuple(Span(name) for name in sorted(places, key=lambda name: places[name]))
        for query, places in found.items()
    }


_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


def _problem(cells: list[str], found: Mapping[str, Mapping[str, object]]) -> str | None:
    if len(cells) != 6:
        return f"{count_of(len(cells), 'cell')}, not query Q0 document rank score tag"
    query, _, document, rank, score, _ = cells
    if not re.fullmatch(r"[0-9]{1,9}", rank):
        return f"rank {rank} is no whole number from 0"
    if not _NUMBER.fullmatch(score):
        return f"score {score} is no number"
    if document in found.get(query, ()):
        return f"document {document} stands there twice for query {query}"
    return None


def _column(name: str) -> str:
    """Return a name without white space, which parts the columns."""
    return re.sub(r"\s", lambda space: quote(space[0]), name)
