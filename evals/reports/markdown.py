"""Markdown for a comment on a pull request: failing questions first, and never too long.

What documents, models and files say stands in code spans, in which there are no mentions, links, images or
HTML; a line end in it is a blank, so that it cannot begin a block of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from rag_evals.evals.answers.log_summary import told_of
from rag_evals.evals.gate.comparison.attribution import stage_of
from rag_evals.evals.gate.comparison.baseline_gate import metrics_of
from rag_evals.evals.gate.comparison.comparability import Corpora, corpora_of
from rag_evals.evals.gate.comparison.compare import Comparison, Flip
from rag_evals.evals.gate.comparison.config_changes import Change
from rag_evals.evals.judges.metrics import METRICS
from rag_evals.evals.reports.comparison_text import (
    COSTS,
    HEADER,
    claim_text,
    cost_cells,
    detectable_text,
    failing_claim,
    ids_of,
    retrieval_text,
    row_cells,
    scores_text,
    summaries_of,
    verdict_text,
)
from rag_evals.evals.reports.conversation_table import broken_lines, conversation_rows
from rag_evals.evals.reports.retrieval_table import retrieval_rows
from rag_evals.evals.reports.text import one_line
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run

# GitHub takes 65,536 characters in a comment.
LIMIT = 60_000
LONGEST = 600
# What the parts may take; what they leave is for the questions that fail.
_NOTES, _TABLE, _FIXED, _CHANGES, _LISTS, _COSTS = 4_000, 6_000, 6_000, 6_000, 3_000, 3_000
_WHERE = "records.jsonl"


def comparison_markdown(comparison: Comparison) -> str:
    """Return `comparison` as Markdown of less than 60,000 characters."""
    gate = comparison.gate
    failing = [flip for flip in comparison.flips if not flip.is_fixed]
    fixed = [flip for flip in comparison.flips if flip.is_fixed]
    head = [
        f"## {verdict_text(gate, code_span(comparison.run, 100), code_span(comparison.base, 100))}",
        _list(comparison.notes, _NOTES, "notes"),
        _table(HEADER, [row_cells(row) for row in gate.rows], _TABLE),
        detectable_text(gate) or "",
    ]
    tail = [
        _section(f"### Fixed: {len(fixed):,}", map(_flip, fixed), len(fixed), _FIXED, "fixed questions"),
        _changes(comparison.changes),
        _names("Only in the run", ids_of(comparison.added)),
        _names("Only in the baseline", ids_of(comparison.removed)),
        _retrieval(comparison),
        _costs(comparison),
    ]
    room = LIMIT - 200 - sum(len(part) + 2 for part in (*head, *tail))
    title = f"### Newly failing: {len(failing):,}"
    body = _section(title, map(_flip, failing), len(failing), room, "newly failing questions")
    return _joined(*head, body, *tail)


def run_markdown(run: Run, gate_lines: Sequence[str] = ()) -> str:
    """Return a run without a baseline, with what the gates said, as Markdown of under 60,000 characters."""
    corpora = corpora_of(run.pipelines)
    failing = [e for e in run.evaluations if e.outcome in ("failed", "error")]
    unscored = [e for e in run.evaluations if e.outcome == "unscored"]
    head = [
        f"## Run {code_span(run.name, 100)}: {len(failing):,} of {len(run.evaluations):,} evaluations failed",
        _list((*told_of(run.header.line), *run.notes), _NOTES, "notes"),
        _list([line for line in gate_lines if line.strip()], _TABLE, "lines"),
        _summary(run),
    ]
    tail = _blind(unscored)
    room = LIMIT - 200 - sum(len(part) + 2 for part in (*head, tail))
    blocks = (_failing(evaluation, corpora) for evaluation in failing)
    title = f"### Failing: {len(failing):,}"
    return _joined(*head, _section(title, blocks, len(failing), room, "failing questions"), tail)


def code_span(text: str, longest: int = LONGEST) -> str:
    """Return `text` as one code span; of a long one its beginning, and how much more there is where."""
    line = one_line(text)
    pointer = ""
    if len(line) > longest:
        pointer = f" … {len(line) - longest:,} more characters in {_WHERE}"
        line = line[:longest]
    if not line:
        return "(nothing)"
    runs = re.findall("`+", line)
    fence = "`" * (max(map(len, runs), default=0) + 1)
    # Markdown takes one blank away from each end.
    pad = " " if runs else ""
    return f"{fence}{pad}{line}{pad}{fence}{pointer}"


def _joined(*parts: str) -> str:
    return "\n\n".join(part for part in parts if part) + "\n"


def _section(title: str, blocks: Iterable[str], count: int, room: int, what: str) -> str:
    """Return as many whole blocks as `room` has place for, and say how many of all `count` were left out.

    Blocks are made one by one, as there may be thousands for which there is no place.
    """
    shown: list[str] = []
    room -= len(title) + 100  # the line at the end
    for block in blocks:
        room -= len(block) + 1
        if room < 0:
            shown.append(f"- … {count - len(shown):,} more {what} in {_WHERE}")
            break
        shown.append(block)
    return "\n\n".join(part for part in (title, "\n".join(shown)) if part)


def _list(lines: Sequence[str], room: int, what: str) -> str:
    return _section("", (f"- {code_span(line)}" for line in lines), len(lines), room, what)


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> str:
    if not rows:
        return ""
    lines = [_row(header), _row(["---"] * len(header))]
    body = (_row([_cell(cell) for cell in row]) for row in rows)
    # A line behind the table is none of its rows.
    return "\n".join([*lines, _section("", body, len(rows), room, "rows").replace("\n- …", "\n\n- …")])


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(text: str) -> str:
    """Return a cell; a name is quoted, and a bar in it, which would end the cell, becomes a broken one."""
    if re.fullmatch(r"[-+<0-9., to]+|PASS|BLOCK|INCONCLUSIVE", text):
        return text.replace("<", "&lt;")
    return code_span(text.replace("|", "\N{BROKEN BAR}"), 100)


# --- questions ---


def _asked(evaluation: Evaluation) -> str:
    question = evaluation.question
    pipeline = code_span(evaluation.pipeline, 100)
    return f"{code_span(question.id, 200)} [{pipeline}]: {code_span(question.question, 300)}"


def _flip(flip: Flip) -> str:
    failing = flip.before if flip.is_fixed else flip.after
    lines = [f"- {_asked(flip.after)}"]
    for name, evaluation in (("before", flip.before), ("now", flip.after)):
        lines += [f"  - {name}, {_scores(evaluation)}: {_answer(evaluation)}"]
    lines += _faults(failing)
    lines += [f"  - stage: {flip.stage}"] if flip.stage else []
    lines += [f"  - contexts: {code_span(retrieval_text(flip.retrieval), 400)}"]
    return "\n".join(lines)


def _failing(evaluation: Evaluation, corpora: Corpora) -> str:
    stage = stage_of(evaluation, corpora.get(evaluation.pipeline))
    lines = [f"- {_asked(evaluation)}", f"  - {_scores(evaluation)}: {_answer(evaluation)}"]
    lines += [*_faults(evaluation), *([f"  - stage: {stage}"] if stage else [])]
    return "\n".join(lines)


def _scores(evaluation: Evaluation) -> str:
    return code_span(scores_text(evaluation), 400)


def _answer(evaluation: Evaluation) -> str:
    if evaluation.answer is None:
        return f"no answer: {code_span(evaluation.error or '')}"
    return code_span(evaluation.answer.text)


def _faults(evaluation: Evaluation) -> list[str]:
    claim = failing_claim(evaluation)
    # As many as there are metrics of ours; others may bring any number.
    lines = [f"  - breach: {code_span(breach)}" for breach in evaluation.breaches[: len(METRICS)]]
    return [*lines, *([f"  - claim: {code_span(claim_text(claim))}"] if claim else [])]


# --- the rest ---


def _blind(unscored: Sequence[Evaluation]) -> str:
    lines = (f"- {_asked(e)}: {code_span('; '.join(e.unscored))}" for e in unscored)
    title = f"### Unscored: {len(unscored):,}"
    return _section(title, lines, len(unscored), _FIXED, "unscored questions") if unscored else ""


def _summary(run: Run) -> str:
    answers, retrieval = run.answers, retrieval_rows(run)
    metrics = metrics_of(answers)[:20]
    rows = [(*one.counts, *one.means) for one in summaries_of(answers, metrics)]
    header = ("pipeline", "evaluations", "passed", "failed", "unscored", *map(_cell, metrics))
    tables = [_table(header, rows, _TABLE)] if answers else []
    tables += [_table(tuple(map(_cell, retrieval[0])), retrieval[1:], _TABLE)] if retrieval else []
    if talks := conversation_rows(run.evaluations):
        broken = broken_lines(run.evaluations)
        tables += [_table(talks[0], talks[1:], _TABLE), _list(broken, _LISTS, "conversations")]
    return "\n\n".join(tables)


def _names(title: str, names: Sequence[str]) -> str:
    lines = (f"- {code_span(name, 200)}" for name in names)
    return _section(f"### {title}: {len(names):,}", lines, len(names), _LISTS, "questions") if names else ""


def _changes(changes: Sequence[Change]) -> str:
    if not changes:
        return ""
    rows = [(change.what, change.path, change.before, change.after) for change in changes]
    table = _table(("what", "name", "before", "after"), rows, _CHANGES)
    return f"### What changed: {len(changes):,}\n\n{table}"


def _retrieval(comparison: Comparison) -> str:
    changed = comparison.retrieval
    lines = (
        f"- {code_span(f'{pipeline} {question}', 200)}: {code_span(retrieval_text(change), 300)}"
        for pipeline, question, change in changed
    )
    title = f"### Contexts changed: {len(changed):,}"
    return _section(title, lines, len(changed), _LISTS, "questions") if changed else ""


def _costs(comparison: Comparison) -> str:
    rows = [*map(cost_cells, comparison.costs)]
    return f"### Latency and tokens\n\n{_table(COSTS, rows, _COSTS)}" if rows else ""
