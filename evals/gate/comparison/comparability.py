"""Comparability of two runs: what differs between them besides their answers, said before any number."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from rag_evals.evals.base.messages import first_names
from rag_evals.evals.gate.comparison.pairing import Pairing
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.run import Run

_first = partial(first_names, most=5)

Corpora = Mapping[str, frozenset[str]]


def notes_on(run: Run, base: Run, pairing: Pairing) -> list[str]:
    """Return what is different between two runs, apart from answers and scores, a line each."""
    judge = changed_judge(run, base)
    return [
        *(f"{base.name}: {note}" for note in base.notes),
        *(f"{run.name}: {note}" for note in run.notes),
        *([judge] if judge else []),
        *_criteria(changed_criteria(run, base)),
        *_pipelines(run, base, pairing),
        *_questions(run, base, pairing),
        *_metrics(pairing),
        *_corpora(run, base),
    ]


def changed_judge(run: Run, base: Run) -> str | None:
    """Return the note that the judge changed; None when it did not, or when neither run tells its judge."""
    old, new = _judges(base), _judges(run)
    if old == new or not (run.evaluations and base.evaluations):
        return None
    only_old, only_new = [j for j in old if j not in new], [j for j in new if j not in old]
    return (
        f"the judge changed ({_named(only_old, 'none')} -> {_named(only_new, 'none')}): scores are not "
        "comparable; --evals-rejudge scores the old answers with the new judge"
    )


def changed_criteria(run: Run, base: Run) -> tuple[str, ...]:
    """Return the criteria and checks that both runs have under one name, and that are not the same."""
    old, new = base.header.criteria, run.header.criteria
    return tuple(name for name in new if name in old and old[name] != new[name])


def _criteria(changed: Sequence[str]) -> list[str]:
    if not changed:
        return []
    return [f"criteria changed ({_first(changed)}): their scores are not comparable"]


def corpora_of(pipelines: Iterable[ComponentInfo]) -> Corpora:
    """Return the names of the documents of each pipeline that tells them, by the pipeline's name."""
    return {one.name: frozenset(one.documents) for one in pipelines if one.documents is not None}


def _judges(run: Run) -> list[tuple[str, str]]:
    return sorted({(judge.name, judge.fingerprint) for judge in run.judges})


def _named(judges: Sequence[tuple[str, str]], nothing: str) -> str:
    return " and ".join(f"{name} {fingerprint[:12]}" for name, fingerprint in judges) or nothing


# --- pipelines ---


def _pipelines(run: Run, base: Run, pairing: Pairing) -> list[str]:
    if not (run.evaluations and base.evaluations):
        return ["nothing to compare"]
    old, new = _names_of(base), _names_of(run)
    if not set(old) & set(new):
        return [f"the baseline has {_counted(old)}; the run has {', '.join(new)}: nothing to compare"]
    lines = []
    for names, where in ((_without(old, new), "baseline"), (_without(new, old), "run")):
        if names:
            lines.append(f"only the {where} has {_counted(names)}: not compared")
    if not pairing.pairs and not pairing.rewritten:
        lines.append("no question is in both: nothing to compare")
    elif not pairing.pairs:
        lines.append("no question is in both and asks the same: nothing to compare")
    return lines


def _names_of(run: Run) -> list[str]:
    return sorted({evaluation.pipeline for evaluation in run.evaluations})


def _without(names: Sequence[str], others: Collection[str]) -> list[str]:
    return [name for name in names if name not in others]


def _counted(names: Sequence[str]) -> str:
    return f"pipeline{'s' * (len(names) != 1)} {', '.join(names)}"


# --- questions ---


def _questions(run: Run, base: Run, pairing: Pairing) -> list[str]:
    shared = set(_names_of(run)) & set(_names_of(base))
    lines = []
    for evaluations, one, other in ((pairing.removed, "baseline", "run"), (pairing.added, "run", "baseline")):
        missing = _ids(e for e in evaluations if e.pipeline in shared)
        missing = [name for name in missing if name not in pairing.rewritten]
        if missing:
            lines.append(f"{_are(missing)} in the {one} and not in the {other}: {_first(missing)}")
    if pairing.rewritten:
        ask = "question asks" if len(pairing.rewritten) == 1 else "questions ask"
        lines.append(
            f"{len(pairing.rewritten):,} {ask} something else under the same id, "
            f"and {'is' if len(pairing.rewritten) == 1 else 'are'} left out: {_first(pairing.rewritten)}"
        )
    for what, part in _PARTS.items():
        changed = sorted({p.question.id for p in pairing.pairs if part(p.before[0]) != part(p.after[0])})
        if changed:
            have = "question has" if len(changed) == 1 else "questions have"
            lines.append(f"{len(changed):,} {have} other {what} than in the baseline: {_first(changed)}")
    if pairing.thresholds:
        lines.append(f"thresholds changed ({_first(pairing.thresholds)}): both are held to those of the run")
    return lines


_PARTS: Mapping[str, Callable[[Evaluation], object]] = {
    "references": lambda evaluation: evaluation.question.reference,
    "sources": lambda evaluation: evaluation.question.sources,
    "tags": lambda evaluation: sorted(evaluation.question.tags),
}


def _ids(evaluations: Iterable[Evaluation]) -> list[str]:
    return sorted({evaluation.question.id for evaluation in evaluations})


def _are(names: Sequence[str]) -> str:
    return "1 question is" if len(names) == 1 else f"{len(names):,} questions are"


# --- metrics and corpora ---


def _metrics(pairing: Pairing) -> list[str]:
    old = {s.metric for pair in pairing.pairs for e in pair.before for s in e.scores}
    new = {s.metric for pair in pairing.pairs for e in pair.after for s in e.scores}
    lines = []
    for names, where in ((sorted(old - new), "baseline"), (sorted(new - old), "run")):
        if names and old and new:  # where a pipeline only raised there are no scores at all
            lines.append(f"only the {where} has scores of {', '.join(names)}: no breach of it counts here")
    return lines


def _corpora(run: Run, base: Run) -> list[str]:
    """Return how the corpus changed; once when it is the same change in all pipelines."""
    said: dict[str, list[str]] = {}
    old = {one.name: one.documents for one in base.pipelines}
    new = {one.name: one.documents for one in run.pipelines}
    shared = sorted(old.keys() & new.keys())
    for name in shared:
        before, after = old[name], new[name]
        if before is not None and after is not None and before != after:
            said.setdefault(_corpus(before, after), []).append(name)
    return [
        f"the corpus changed{'' if names == shared else ' for ' + ' and '.join(names)}: {change}"
        for change, names in said.items()
    ]


def _corpus(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    changes = {
        "added": sorted(after.keys() - before.keys()),
        "removed": sorted(before.keys() - after.keys()),
        "changed": sorted(name for name in before.keys() & after.keys() if before[name] != after[name]),
    }
    return ", ".join(
        f"{len(names):,} document{'s' * (len(names) != 1)} {what} ({_first(names)})"
        for what, names in changes.items()
        if names
    )
