"""Noise and flaky questions on the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rag_evals.evals.base.messages import printable
from rag_evals.evals.gate.flakiness import Flaky, Group, Noise, flaky_questions, groups_of, noise_of
from rag_evals.evals.reports.text import UNBOUNDED, table, wrapped
from rag_evals.evals.runs.evaluation import Evaluation

NOISE_HEADER = ("noise", "judge", "answers", "pipeline", "questions")
FLAKY_HEADER = ("pipeline", "question", "scores", "measured", "passed")
# Of flaky questions, so many stand in the summary of a run.
LISTED = 10


def noise_lines(evaluations: Iterable[Evaluation], *, width: int | None = None) -> list[str]:
    """Return the lines on the repeats of one run, for its summary; `width` as in `flaky_lines`."""
    return flaky_lines(groups_of(evaluations), width=width, listed=LISTED)


def flaky_lines(groups: Sequence[Group], *, width: int | None = None, listed: int | None = None) -> list[str]:
    """Return the lines on what was measured more than once.

    They have at most `width` columns, and list at most `listed` flaky questions; None for no bound.
    """
    columns = width or UNBOUNDED
    repeated = [group for group in groups if group.is_repeated]
    if not repeated:
        return wrapped(
            "no question was measured more than once: give --evals-repeat N or --evals-judge-repeat N",
            columns,
        )
    if all(group.is_agreed for group in repeated):
        many = "1 question was" if len(repeated) == 1 else f"{len(repeated):,} questions were"
        return wrapped(f"every repeat agreed: {many} measured more than once", columns)
    noises = noise_of(repeated)
    return [*_noise(noises, columns), *_flaky(flaky_questions(repeated), repeated, columns, listed)]


def _noise(noises: Sequence[Noise], columns: int) -> list[str]:
    rows = [
        (n.metric, _shown(n.judge), f"{n.judged:,}", _shown(n.pipeline), f"{n.answered:,}")
        for n in noises
        if n.judge is not None or n.pipeline is not None
    ]
    lines = table(_clean((NOISE_HEADER, *rows)), columns, left=1) if rows else []
    said = "standard deviations: judge, of one answer judged again; pipeline, of a question answered again"
    if any(n.pipeline and n.judge is None for n in noises):
        said += ", which has the judge's noise in it where no answer was judged again"
    return [*lines, *wrapped(said, columns)] if rows else []


def _flaky(flaky: Sequence[Flaky], groups: Sequence[Group], columns: int, listed: int | None) -> list[str]:
    measured = f"{len(groups):,} measured more than once"
    if not flaky:
        return wrapped(f"no verdict flips: of {measured}", columns)
    versions = {f.pipeline: {g.version for g in groups if g.pipeline == f.pipeline} for f in flaky}
    rows = [_row(f, is_one=len(versions[f.pipeline]) == 1) for f in flaky[:listed]]
    more = len(flaky) - len(rows)
    return [
        *wrapped(f"questions whose verdict flips: {len(flaky):,} of {measured}", columns),
        *table(_clean((FLAKY_HEADER, *rows)), columns, left=3),
        *(wrapped(f"and {more:,} more: rag-evals flaky lists them", columns) if more else []),
    ]


def _row(flaky: Flaky, *, is_one: bool) -> tuple[str, ...]:
    # Where a pipeline or its judge was changed, what was measured before and after stands apart.
    pipeline = flaky.pipeline if is_one else f"{flaky.pipeline} {flaky.version[:8]}"
    scores = ", ".join(
        f"{metric} {low:.2f} to {high:.2f}" for metric, (low, high) in flaky.spreads.items() if low < high
    )
    return (pipeline, flaky.question, scores, f"{flaky.count:,}", f"{flaky.passed:.0%}")


def _shown(deviation: float | None) -> str:
    return "-" if deviation is None else f"{deviation:.3f}"


def _clean(rows: Iterable[Sequence[str]]) -> list[list[str]]:
    return [[printable(cell) for cell in row] for row in rows]
