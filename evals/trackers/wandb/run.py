"""Weights & Biases: a run with its scores as they come, tables, artifacts, summary and an alert.

Facts on wandb 0.31 that this is built on: an incremental table is one artifact version a log, of which the
workspace shows the last hundred; a column that had a number takes no truth value later unless types may mix;
steps below those that the server has are dropped, so that a run that is sent again has each row once.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_evals.evals.trackers.messages import text_of
from rag_evals.evals.trackers.options import TRIAL, replay_command
from rag_evals.evals.trackers.tracker import Ending, TrackedFile, TrackedRun, TrackedTable, TrackerError
from rag_evals.evals.trackers.wandb.client_progress import ClientProgress
from rag_evals.evals.trackers.wandb.tables import LiveTable, bars_of, joined, wandb_table, whole_table

if TYPE_CHECKING:
    import wandb as wandb_

LIVE_TABLE = "evaluations_live"
TABLE = "evaluations"
# Seconds: with what comes before it, the fall back to offline is done in ten.
INIT_TIMEOUT = 6.0
REPLAY_TIMEOUT = 30.0
# What the deadline of the end leaves for looking whether all has arrived.
SECONDS_FOR_LOOKING = 3.0
WATCHED = ("score/*", "mean/*", "seconds/*", "tokens/*", "pass_rate/*", "pass_rate", "unscored", "seconds")
ALERT_CHARACTERS = 2000
SECONDS_BETWEEN_POSTS = "5"
OF_SWEEP = (*TRIAL.values(), "WANDB_SWEEP_PARAM_PATH")


class WandbTracker:
    """One W&B run."""

    def __init__(self) -> None:
        self._lost: dict[str, str] = {}
        self._offline_because = ""
        self._is_told = False
        self._artifacts: list[tuple[str, Any]] = []
        self._tables: dict[str, TrackedTable] = {}
        self._progress: ClientProgress | None = None
        self._trial: Mapping[str, str] | None = None
        self._is_joined = False

    def start(self, run: TrackedRun) -> None:
        """Begin or resume the W&B run; without a connection or a key it is an offline one.

        Raises:
            TrackerError: The run is over and cannot be sent.
        """
        self._told = run
        self._trial = run.options.get("trial")
        # A session is the run of its trial; runs of pipelines would share its id, and have their own.
        self._is_joined = bool(self._trial) and not run.pipeline
        self._id = str(self._trial["run"]) if self._trial and self._is_joined else run.id
        _set_environment(run.folder, is_in_sweep=self._is_joined and not run.is_replay)
        mode = "offline" if run.is_offline else os.environ.get("WANDB_MODE") or "online"
        self._run = self._offline_run() if mode == "offline" else self._online_run()
        self._is_offline: bool = self._run.settings._offline
        # Rows that are there already are not sent again.
        self._first = self._run.starting_step
        self._next = self._first
        # The step behind the last row, sent now or before.
        self._behind = 0
        self._run.define_metric("test/index", hidden=True)
        for name in WATCHED:
            self._run.define_metric(name, step_metric="test/index", summary="none")
        self._live = LiveTable(run.columns)
        for artifact in () if self._is_offline else run.used:
            self._use(artifact)

    def _use(self, artifact: str) -> None:
        try:
            self._run.use_artifact(artifact)
        except Exception as error:  # noqa: BLE001  # the run is worth having without it
            self._lost[artifact] = _said(error)

    def config(self, values: Mapping[str, Any]) -> None:
        """Merge `values` into the config."""
        for key, value in values.items():
            before = self._run.config.get(key)
            merged = {**before, **value} if isinstance(before, dict) and isinstance(value, dict) else value
            self._run.config.update({key: merged}, allow_val_change=True)

    def row(self, row: Mapping[str, Any], scalars: Mapping[str, float], step: int) -> None:
        """Log one test as the history row of its step, with the growing table every now and then."""
        self._behind = step + 1
        if step < self._first:
            return
        logged: dict[str, Any] = dict(scalars)
        if not self._told.is_replay and self._live.add(row):
            self._log_live(step)
        self._run.log(logged, step=step)
        self._next = step + 1

    def _log_live(self, step: int) -> None:
        try:
            self._run.log({LIVE_TABLE: self._live.take()}, step=step)
        except Exception:  # noqa: BLE001  # the scores go on without it, and the whole table comes at the end
            self._live.stop()

    def summary(self, values: Mapping[str, Any]) -> None:
        """Set the summary; from here to the end somebody may wait."""
        if not self._told.is_replay:
            self._progress = ClientProgress(self._run, self._told.moved)
            self._progress.begin()
        self._run.summary.update(dict(values))

    def file(self, file: TrackedFile) -> None:
        """Log an artifact; what the run was made from is declared as used where there is a server."""
        import wandb

        artifact = wandb.Artifact(file.name, file.kind, metadata=dict(file.about or {}))
        for name, path in file.paths.items():
            artifact.add_file(str(path), name, skip_cache=True)
        if file.table:
            artifact.add(wandb_table(file.table), file.table.name)
            self._tables[file.table.name] = joined(self._tables.get(file.table.name), file.table)
        aliases = ["latest", *file.aliases]
        try:
            if file.is_used and not self._is_offline:
                self._run.use_artifact(artifact, aliases=aliases)
            else:
                self._artifacts.append((file.name, self._run.log_artifact(artifact, aliases=aliases)))
        except Exception as error:  # noqa: BLE001  # the other files are worth having without it
            self._lost[file.name] = _said(error)

    def finish(self, ending: Ending) -> None:
        """Log the whole table, the pictures and the report, and wait for all of it.

        Raises:
            TrackerError: Not all of it has arrived.
        """
        problems = []
        try:
            self._log_end(ending)
            self._wait_for_artifacts()
            self._run.finish(exit_code=0 if ending.is_finished else 1)
        except TimeoutError:
            problems.append("the server did not take all of it in time")
        except Exception as error:  # noqa: BLE001  # what else was lost is said as well
            problems.append(_said(error))
        finally:
            if self._progress:
                self._progress.end()
        if not problems and not self._is_offline:
            problems += self._missing()
        if self._lost:
            first = next(iter(self._lost.values()))
            problems.append(f"artifacts {', '.join(self._lost)} did not arrive ({first})")
        if problems:
            raise TrackerError(self._in_one_line(problems))
        self._tidy()

    def _in_one_line(self, problems: list[str]) -> str:
        """Put why the run is offline before what was lost of its copy, where it is not the same."""
        because = self._offline_because
        if because and because not in problems:
            problems = [f"offline, as {because}", *problems]
        self._is_told = self._is_offline
        return "; ".join(problems)

    def where(self) -> Sequence[str]:
        """Return the run's address, or its folder and why it is offline; empty where an error has said it."""
        if self._is_told or not hasattr(self, "_run"):
            return ()
        if not self._is_offline:
            return (f"{self._run.url}{self._of_sweep()}",)
        if self._offline_because:
            return (f"offline, as {self._offline_because}; `{replay_command(self._told.folder)}` sends it",)
        return (f"offline: {os.path.relpath(self._run.settings.sync_dir)}{self._of_sweep()}",)

    def _of_sweep(self) -> str:
        """Return which run it is where the session is a trial of a sweep; else nothing."""
        if not self._trial:
            return ""
        trial = f"the run of this trial of sweep {self._trial['sweep']}"
        return f" ({trial})" if self._is_joined else f" (in the group {self._group}, beside {trial})"

    @property
    def _group(self) -> str | None:
        told = self._told
        beside = self._trial["run"] if self._trial and told.pipeline else None
        return told.options.get("group") or beside or told.group

    @property
    def _name(self) -> str | None:
        """The name for people; a trial has one already."""
        told = self._told
        named = told.options.get("name")
        if told.pipeline:
            return told.name
        return named or (None if self._is_joined else told.name)

    # --- beginning ---

    def _online_run(self) -> Any:
        """Begin online; where that cannot be, offline, unless the run was to be sent."""
        import wandb

        try:
            return self._init("online")
        except Exception as error:
            reason = self._reason(error)
            if self._told.is_replay:
                raise TrackerError(reason) from error
            self._offline_because = reason
        # The client holds the run's id although the run never began.
        wandb.teardown(exit_code=0)
        return self._offline_run()

    def _reason(self, error: Exception) -> str:
        """Return why a run did not begin, in the words of those who can do something about it."""
        text, options = str(error), self._told.options
        server = os.environ.get("WANDB_BASE_URL") or "W&B"
        project = "/".join(filter(None, (options.get("entity"), options["project"])))
        # Not the bare number: it may well be part of a run's id, or a port.
        for mark, reason in (
            ("No API key", "there is no API key (`wandb login`, or set WANDB_API_KEY)"),
            ("error 401", f"{server} does not accept the API key (401)"),
            ("error 403", f"there is no permission for {project} at {server} (403)"),
            ("ermission denied", f"there is no permission for {project} at {server}"),
            ("error 404", f"{server} knows no {project} (404)"),
            ("HTTP 429", f"{server} takes no more requests for now (429)"),
            ("HTTP 5", f"{server} answers with errors of its own (5xx)"),
            ("dial tcp", f"there is no connection to {server}"),
            ("deadline exceeded", f"there is no answer from {server}"),
        ):
            if mark in text:
                return reason
        return _said(error)

    def _offline_run(self) -> Any:
        return self._init("offline")

    def _init(self, mode: str) -> wandb_.Run:
        import wandb

        told, options = self._told, self._told.options
        seconds = told.seconds
        return wandb.init(
            project=options["project"],
            entity=options.get("entity"),
            id=self._id,
            name=self._name,
            group=self._group,
            job_type="evals",
            tags=options.get("tags") or None,
            notes=options.get("notes"),
            mode=mode,  # type: ignore[arg-type]
            resume="allow",
            reinit="create_new",
            dir=told.folder,
            settings=wandb.Settings(
                init_timeout=REPLAY_TIMEOUT if told.is_replay else INIT_TIMEOUT,
                finish_timeout=0.0 if seconds is None else max(1.0, seconds - SECONDS_FOR_LOOKING),
                finish_timeout_raises=True,
                console="off",
                silent=True,
                # Its picture of the repository has the whole of what is not committed; ours is in the config.
                disable_git=True,
                disable_code=True,
                save_code=False,
                # Host name, paths and disks of this very process: the config has what matters.
                x_disable_meta=True,
                x_disable_stats=True,
            ),
        )

    # --- ending ---

    def _log_end(self, ending: Ending) -> None:
        import wandb

        was_ended = self._first > self._behind
        if was_ended and self._has_files_of_end():
            return
        logged: dict[str, Any] = {TABLE: whole_table(ending.columns, ending.rows)}
        for metric, values in ending.values.items():
            if values:
                logged[f"histogram/{metric}"] = wandb.Histogram(list(values), num_bins=20)
        logged |= bars_of(ending.means)
        logged |= {name: wandb_table(table) for name, table in self._tables.items()}
        if ending.report:
            logged["report"] = wandb.Html(str(ending.report), inject=False)
        self._run.log(logged, step=max(self._next, self._behind))
        self._next = max(self._next, self._behind) + 1
        # Who was told once is not told again.
        if ending.verdict == "BLOCK" and not was_ended:
            text = "\n".join(ending.lines)[:ALERT_CHARACTERS]
            self._run.alert(f"BLOCK: {self._told.name}", text, level="ERROR")

    def _has_files_of_end(self) -> bool:
        """Ask the server for the files of tables and report: the line that names them goes another way."""
        import wandb

        try:
            run: Any = wandb.Api(timeout=2).run(self._run.path)
            shown = (run.summary.get(key) for key in (TABLE, "report", *self._tables))
            names = [str(value["path"]) for value in shown if value is not None]
            found = [file.name for file in run.files(names) if file.size > 0] if names else []
        except Exception:  # noqa: BLE001  # they are sent again then
            return False
        return TABLE in run.summary and sorted(found) == sorted(names)

    def _wait_for_artifacts(self) -> None:
        if self._is_offline:
            return
        seconds = self._told.seconds
        until = None if seconds is None else time.monotonic() + seconds - SECONDS_FOR_LOOKING
        for name, artifact in self._artifacts:
            left = None if until is None else max(1, int(until - time.monotonic()))
            try:
                artifact.wait(timeout=left)
            except Exception as error:  # noqa: BLE001  # whichever it is, the others are waited for
                self._lost[name] = _said(error)

    def _missing(self) -> list[str]:
        """Ask the server what it has: a client that was refused in the middle does not say so."""
        import wandb

        until = time.monotonic() + SECONDS_FOR_LOOKING - 1
        there = 0
        while True:
            try:
                found = wandb.Api(timeout=2).run(self._run.path)
                there = int(found.lastHistoryStep) + 1
            except Exception as error:  # noqa: BLE001  # it may be any of the client's or the network's
                return [f"what has arrived is not known: {_said(error)}"]
            if there >= self._next:
                return []
            if time.monotonic() > until:
                return [f"W&B has {there:,} of {self._next:,} lines of the history"]
            time.sleep(0.3)

    def _tidy(self) -> None:
        """Remove what is of no more use: copies of artifacts that have arrived, older offline copies."""
        folder = self._told.folder / "wandb"
        if not self._is_offline:
            shutil.rmtree(folder / "data", ignore_errors=True)
            # All of it has arrived: the client's own `wandb sync` would append its rows once more.
            for copy in folder.glob(f"offline-run-*-{self._id}/run-{self._id}.wandb"):
                copy.with_suffix(".wandb.synced").touch()
            return
        # Of a run that is sent again, or went on: this copy has all that the others have.
        mine = Path(self._run.settings.sync_dir)
        for other in folder.glob(f"offline-run-*-{self._id}"):
            if other.resolve() != mine.resolve():
                shutil.rmtree(other, ignore_errors=True)


def _set_environment(folder: Path, *, is_in_sweep: bool) -> None:
    """Keep all of it in the run folder, and the client's reports on itself to ourselves.

    In a sweep the client takes no other run than the trial's, whatever it is told.
    """
    for name in () if is_in_sweep else OF_SWEEP:
        os.environ.pop(name, None)
    own = folder / "wandb"
    own.mkdir(exist_ok=True)
    os.environ.update(
        WANDB_ERROR_REPORTING="false",
        WANDB_DATA_DIR=str(own / "data"),
        # It asks who we are, which nobody wants to know, and where the server hangs that takes ten seconds.
        WANDB_X_DISABLE_VIEWER="true",
        WANDB_SILENT="true",
    )
    os.environ.setdefault("WANDB_CACHE_DIR", str(own / "data"))
    # The client's own fifteen are the whole of a short run, and what an outage at its end loses.
    os.environ.setdefault("WANDB_X_FILE_STREAM_TRANSMIT_INTERVAL", SECONDS_BETWEEN_POSTS)


def _said(error: BaseException) -> str:
    """Return what an error says in one line."""
    text = text_of(error)
    return text if len(text) <= 200 else f"{text[:199]}…"
