"""The head of a run: what was asked of it, of which questions, with what and on which machine."""

from __future__ import annotations

import os
import platform
from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.question_lines import questions_digest
from evals.questions import Question
from evals.repository import git_state
from evals.settings import Settings
from evals.trackers.choosing import tracker_options
from evals.versions import installed_versions

if TYPE_CHECKING:
    from evals.trackers.fetching import Fetched


def head_of(
    settings: Settings,
    folder: Path,
    *,
    args: Sequence[str],
    questions: Mapping[Path, Sequence[Question]],
    stale: Collection[str],
    used: Sequence[Fetched],
) -> dict[str, Any]:
    """Give what the first line of `records.jsonl` says.

    Args:
        settings: The settings of the run.
        folder: The run's folder.
        args: Pytest's arguments.
        questions: The questions of each file that is asked from.
        stale: Ids of those that do not belong to the documents any more.
        used: The artifacts that were fetched.
    """
    return {
        "args": list(args),
        "mode": settings.mode,
        "metrics": list(settings.metrics),
        "thresholds": dict(settings.thresholds),
        "max_unscored": settings.max_unscored,
        "judge_floor": settings.judge_floor,
        "gate": [condition.text for condition in settings.gate],
        "inconclusive": settings.inconclusive,
        "margin": settings.margin,
        "baseline": settings.baseline,
        "stop_early": settings.stop_early,
        "shard": astuple(settings.shard) if settings.shard else None,
        "machine": {
            "python": platform.python_version(),
            "system": platform.platform(),
            "processors": os.cpu_count(),
        },
        "git": git_state(settings.root),
        "versions": installed_versions(),
        "offline": settings.offline,
        "trackers": tracker_options(settings, os.environ),
        # From the run folder: records are sent to trackers, and paths of this machine are not.
        "questions": [
            {"path": os.path.relpath(file, folder), "digest": questions_digest(asked)}
            for file, asked in questions.items()
        ],
        "stale": sorted(stale),
        "used": [fetched.told for fetched in used],
    }
