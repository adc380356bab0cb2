"""Which trackers a run has, what they are told, and their guards."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable

if TYPE_CHECKING:
    from rag_evals.evals.trackers.guard import Guard

WANDB = "wandb"
OTLP = "otlp"
# What sends traces, by the modules that are imported: the extra `otlp`.
OTLP_PACKAGES = {
    "opentelemetry.sdk": "opentelemetry-sdk",
    "opentelemetry.exporter.otlp.proto.http": "opentelemetry-exporter-otlp-proto-http",
    "requests": "requests",
}

# What W&B's agent tells the command of a trial: which sweep it is of, and the id of its run.
TRIAL = {"sweep": "WANDB_SWEEP_ID", "run": "WANDB_RUN_ID"}

WandbRuns = Literal["session", "pipeline"]


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """Where a run can be watched.

    Attributes:
        wandb: The W&B project that the run is sent to, perhaps with its entity before a slash; None for none.
        wandb_runs: Whether W&B gets one run a session or one a pipeline.
        otlp: Where traces are sent: the URL of a collector, or `wandb`; None for nowhere.
        others: Names of further trackers.
        wait: Seconds in which nothing moves after which a tracker is given up, when the session is over.
        max_wait: Seconds that a tracker may take then in all.
    """

    wandb: str | None = None
    wandb_runs: WandbRuns = "session"
    otlp: str | None = None
    others: tuple[str, ...] = ()
    wait: float = 10
    max_wait: float = 120

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all trackers."""
        ours = [name for name, where in ((WANDB, self.wandb), (OTLP, self.otlp)) if where]
        return tuple(dict.fromkeys((*ours, *self.others)))


def check_trackers(names: Iterable[str]) -> None:
    """Look whether there are trackers of these names, without importing any.

    Raises:
        UsageError: There is no such tracker, or its library is not installed.
    """
    for name in names:
        if name == WANDB and find_spec(WANDB) is None:
            raise UsageError("evals_wandb: the package wandb is not installed: pip install wandb")
        if name == OTLP and (missing := [OTLP_PACKAGES[m] for m in OTLP_PACKAGES if not _is_installed(m)]):
            raise UsageError(
                f"evals_otlp: not installed: {', '.join(missing)}: pip install 'rag-evals[otlp]'"
            )
        from rag_evals.evals.trackers.tracker import known_trackers

        if name not in (known := known_trackers()):
            raise UsageError(f"unknown tracker {printable(name)!r}: there are {', '.join(sorted(known))}")


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # nor is the package that it would be in
        return False


def tracker_options(chosen: TrackerOptions, environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Return what each tracker is told, by its name; it stands in the first line of the records.

    The environment counts as it is when the run begins: a run that is sent again has the same tags then.
    """
    options: dict[str, dict[str, Any]] = {name: {} for name in chosen.names}
    if chosen.wandb is None:
        options.pop(WANDB, None)
    elif environment.get("WANDB_MODE") == "disabled":
        del options[WANDB]
    else:
        options[WANDB] = _wandb_options(chosen.wandb, chosen.wandb_runs, environment)
    if chosen.otlp:
        whose = _wandb_options(chosen.wandb or "", chosen.wandb_runs, environment)
        options[OTLP] = {"endpoint": chosen.otlp, "project": whose["project"], "entity": whose["entity"]}
    return options


def _wandb_options(project: str, runs: str, environment: Mapping[str, str]) -> dict[str, Any]:
    entity, _, name = project.rpartition("/")
    trial = {key: environment.get(variable) for key, variable in TRIAL.items()}
    is_trial = all(trial.values())
    if is_trial and runs == "session":  # its run is where the sweep is
        name = environment.get("WANDB_PROJECT") or name
        entity = environment.get("WANDB_ENTITY") or entity
    tags = [tag.strip() for tag in environment.get("WANDB_TAGS", "").split(",")]
    return {
        "project": name,
        "entity": entity or environment.get("WANDB_ENTITY") or None,
        "runs": runs,
        "group": environment.get("WANDB_RUN_GROUP") or None,
        "name": environment.get("WANDB_NAME") or None,
        "tags": [tag for tag in tags if tag],
        "notes": environment.get("WANDB_NOTES") or None,
        **({"trial": trial} if is_trial else {}),
    }


def started_guards(chosen: TrackerOptions, environment: Mapping[str, str], folder: Path) -> list[Guard]:
    """Begin the trackers of the run in `folder`, each in a process of its own."""
    names = tracker_options(chosen, environment)
    if not names:
        return []
    from rag_evals.evals.trackers.guard import Guard, Patience

    patience = Patience(chosen.wait, chosen.max_wait)
    replay = replay_command(folder)
    guards = [Guard(name, folder, patience=patience, replay=replay) for name in names]
    for guard in guards:
        guard.start()
    return guards


def replay_command(folder: Path) -> str:
    """Return the command that sends the run in `folder` again, for the folder that we are in."""
    is_default = folder.parents[1] == Path.cwd() / ".rag-evals"
    shown = Path(os.path.relpath(folder))
    return f"rag-evals replay {folder.name if is_default else shlex.quote(str(shown))}"
