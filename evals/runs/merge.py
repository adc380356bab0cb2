"""The merge of shards into one run: the same configuration, no question twice, no shard forgotten."""

from __future__ import annotations

import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rag_evals.evals.base.errors import RunFileError
from rag_evals.evals.base.files import whole_lines
from rag_evals.evals.base.messages import listing, printable
from rag_evals.evals.runs.evaluation import (
    Evaluation,
    evaluation_to_json,
    last_attempts,
)
from rag_evals.evals.runs.header import ComponentInfo
from rag_evals.evals.runs.run import UNFINISHED, Run, read_run
from rag_evals.evals.runs.run_folder import RunFolder
from rag_evals.evals.runs.trace_lines import FILE as TRACES
from rag_evals.evals.runs.undecided import CONTINUED, asked_in, never_reached
from rag_evals.rag.identity import canonical

# What runs of one whole have in common.
COMMON = ("mode", "metrics", "criteria", "thresholds", "max_unscored", "judge_floor", "gate", "inconclusive")
LISTED = 10
# Types of lines that are joined otherwise, or that a whole has itself.
_OF_ONE_RUN = ("run", "evaluation", "ruling", CONTINUED, "end")


def merge(runs: Sequence[Run], home: Path, *, partial: bool = False) -> Run:
    """Join `runs`, in any order, into a new run under `home`; of those strictly read nothing is missing.

    Returns:
        The new run: its notes say what a part lacks; contexts and claims of its evaluations stay in the file.

    Raises:
        RunFileError: The runs are no parts of one whole, or of a whole that is not to be `partial` some are
            missing, or the new run cannot be written.
    """
    runs = sorted(runs, key=lambda run: (run.header.shard.index if run.header.shard else 0, run.name))
    _check_once(runs)
    _check_same(runs)
    notes = [*_missing(runs, partial=partial), *_unfinished(runs)]
    _check_disjoint(runs)
    folder = RunFolder(home)
    try:
        _write(folder, runs)
    except OSError as error:
        raise RunFileError(
            f"the merged run cannot be written to {printable(str(home))}: {error.strerror}: "
            "give another folder with --out"
        ) from error
    whole = read_run(folder.path, strict=True)
    counted, attempts = last_attempts(map(_slim, whole.evaluations))
    return replace(whole, evaluations=counted, attempts=attempts, notes=tuple(notes))


def _write(folder: RunFolder, runs: Sequence[Run]) -> None:
    folder.start(
        {
            **{name: getattr(runs[0].header, name) for name in COMMON},
            "args": [],
            "machine": {"python": platform.python_version(), "system": platform.platform()},
            "shard": None,
            "questions": _asked_from(runs, folder.path),
            **({"answers": answers} if (answers := runs[0].header.line.get("answers")) else {}),
            "stale": sorted({name for run in runs for name in run.header.stale}),
            "used": list({canonical(one): one for run in runs for one in run.header.used}.values()),
            "merged": [_about_part(run) for run in runs],
        }
    )
    outcomes: Counter[str] = Counter()
    seen: set[str] = set()
    for run in runs:
        asked: list[Mapping[str, Any]] = []
        for line in run.records.lines():
            if line.event and line.kind not in _OF_ONE_RUN and line.text not in seen:
                folder.append(line.text)
                seen.add(line.text)
                asked += asked_in(line.event)
        evaluations = []
        for line, evaluation in run.records.evaluations():
            folder.append(line.text)
            evaluations.append(_slim(evaluation))
        lost = run.lost or (() if run.records.is_finished else never_reached(asked, evaluations))
        for evaluation in lost:
            folder.append(canonical(evaluation_to_json(evaluation)))
        outcomes.update(evaluation.outcome for evaluation in (*evaluations, *lost))
        _join_traces(folder, run)
    folder.finish(dict(sorted(outcomes.items())))
    if folder.losses:
        raise OSError(0, folder.losses[0])


def _asked_from(runs: Iterable[Run], folder: Path) -> list[dict[str, str]]:
    """Return the question files of all parts, each once, by their path from the new folder."""
    files = [
        ((run.records.folder / one["path"]).resolve(), one["digest"])
        for run in runs
        for one in run.header.questions
        if isinstance(one.get("path"), str) and isinstance(one.get("digest"), str)
    ]
    return [
        {"path": os.path.relpath(path, folder.resolve()), "digest": digest}
        for path, digest in dict.fromkeys(files)
    ]


def _join_traces(folder: RunFolder, run: Run) -> None:
    file = run.records.folder / TRACES
    if file.is_file():
        for line in whole_lines(file):
            folder.append_trace(line.decode(errors="replace"))


def _about_part(run: Run) -> dict[str, Any]:
    kept = {name: run.header.line.get(name) for name in ("run", "shard", "args", "machine")}
    return {**kept, "finished": run.records.is_finished}


def _slim(evaluation: Evaluation) -> Evaluation:
    """Leave out what no summary shows: contexts and claims are nearly all of an evaluation."""
    answer = evaluation.answer
    return replace(
        evaluation,
        answer=replace(answer, contexts=()) if answer else None,
        scores=tuple(replace(score, claims=()) for score in evaluation.scores),
    )


def _check_once(runs: Sequence[Run]) -> None:
    if not runs:
        raise RunFileError("no runs: name the runs of the shards")
    counted = Counter(run.records.folder.resolve() for run in runs)
    twice = [run.name for run in runs if counted[run.records.folder.resolve()] > 1]
    if twice:
        raise RunFileError(f"given more than once: {', '.join(dict.fromkeys(twice))}")


def _check_same(runs: Sequence[Run]) -> None:
    """Hold every run to the same configuration.

    Raises:
        RunFileError: Something differs; each is one line with the runs and their values.
    """
    found = [
        *(_difference(name, [(run, getattr(run.header, name)) for run in runs]) for name in COMMON),
        _difference("answers drawn", [(run, _drawn(run)) for run in runs]),
        _difference("shards in all", [(r, r.header.shard.count if r.header.shard else None) for r in runs]),
    ]
    described = {(one.kind, one.name) for run in runs for one in run.components}
    for kind, name in sorted(described):
        having = [run for run in runs if _components(run, kind, name)]
        prints = [(run, _fingerprints(run, kind, name)) for run in having]
        found.append(_difference(f"{kind} {name}", prints, _changed(kind, name, having)))
    differences = [printable(difference) for difference in found if difference]
    if differences:
        headline = "these runs are not parts of one, as they were configured differently:"
        raise RunFileError(listing(headline, differences))


def _fingerprints(run: Run, kind: str, name: str) -> str:
    return " and ".join(sorted(one.fingerprint[:12] for one in _components(run, kind, name)))


def _components(run: Run, kind: str, name: str) -> list[ComponentInfo]:
    return [one for one in run.components if (one.kind, one.name) == (kind, name)]


def _changed(kind: str, name: str, runs: Sequence[Run]) -> str:
    """Return which settings differ, where the pipeline or the judge has told them."""
    all_settings = [one.settings or {} for run in runs for one in _components(run, kind, name)]
    keys = sorted({key for settings in all_settings for key in settings})
    changed = [key for key in keys if any(s.get(key) != all_settings[0].get(key) for s in all_settings)]
    return f" (differing in {', '.join(changed)})" if changed else ""


def _drawn(run: Run) -> list[Any]:
    """Return what tells which logged answers a run is of, and which of them were drawn."""
    told = run.header.line.get("answers") or {}
    return [told.get(name) for name in ("digest", "drawn", "seed", "by")]


def _difference(what: str, values: Iterable[tuple[Run, Any]], more: str = "") -> str | None:
    """Return which run has which value; None when all have the same."""
    having: dict[str, list[str]] = {}
    for run, found in values:
        having.setdefault(found if isinstance(found, str) else canonical(found), []).append(run.name)
    if len(having) < 2:
        return None
    return (
        f"{what}: " + ", ".join(f"{text} in {' and '.join(names)}" for text, names in having.items()) + more
    )


def _missing(runs: Sequence[Run], *, partial: bool) -> list[str]:
    """Return which shards are missing.

    Raises:
        RunFileError: Some are, and not `partial`.
    """
    shards = [run.header.shard for run in runs if run.header.shard]
    if not shards:
        return []
    count = shards[0].count
    missing = sorted(set(range(1, count + 1)) - {shard.index for shard in shards})
    if not missing:
        return []
    numbers = ", ".join(map(str, missing))
    line = f"shard {numbers} of {count} is missing"
    if len(missing) > 1:
        line = f"shards {numbers} of {count} are missing"
    if not partial:
        raise RunFileError(f"{line}: name the run as well, or give --partial to do without")
    return [line]


def _unfinished(runs: Sequence[Run]) -> list[str]:
    unfinished = [
        f"{run.name} was not finished: it is read as far as it goes"
        + (", and its last line, which is cut, is left out" if run.records.is_cut else "")
        for run in runs
        if not run.records.is_finished
    ]
    damage = [f"{run.name}: {note}" for run in runs for note in run.notes if note != UNFINISHED]
    return unfinished + damage


def _check_disjoint(runs: Sequence[Run]) -> None:
    """Hold every evaluation to one run.

    Raises:
        RunFileError: A question was evaluated in two; the first of them are listed.
    """
    first: dict[tuple[str, str, int, bool], Run] = {}
    twice: list[str] = []
    for run in runs:
        for evaluation in run.evaluations:
            key = (
                evaluation.pipeline,
                evaluation.question.id,
                evaluation.repeat,
                evaluation.is_retrieval,
            )
            before = first.setdefault(key, run)
            if before is not run:
                repeat = f", repeat {evaluation.repeat}" if evaluation.repeat else ""
                twice.append(printable(f"{key[0]} {key[1]}{repeat}: in {before.name} and {run.name}"))
    if twice:
        count = "one evaluation is" if len(twice) == 1 else f"{len(twice)} evaluations are"
        raise RunFileError(listing(f"{count} in two runs, and would count twice:", twice, LISTED))
