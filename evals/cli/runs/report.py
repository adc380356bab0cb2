"""The commands `report`, a finished run once more, `comment`, on a pull request, and `merge`, of shards."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rag_evals.evals.base.errors import EvalsError, UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.cli.arguments import add_baselines, add_home, named_run, unwritable, write_text
from rag_evals.evals.gate.decision import Decision, decide, decision_from_json
from rag_evals.evals.gate.rules import rules_from
from rag_evals.evals.judges.calibration.labels.examples import Labelled
from rag_evals.evals.judges.calibration.labels.people import load_people
from rag_evals.evals.reports.dataframe import to_csv, write_parquet
from rag_evals.evals.reports.github import warning_line
from rag_evals.evals.reports.github_comment import (
    API,
    comment_text,
    pull_request_of,
    put_comment,
)
from rag_evals.evals.reports.html.page import run_html
from rag_evals.evals.reports.html.waterfall import waterfalls_of
from rag_evals.evals.reports.junit import run_junit
from rag_evals.evals.reports.markdown import run_markdown
from rag_evals.evals.reports.terminal.summary import closing_lines, decision_lines
from rag_evals.evals.reports.text import Line
from rag_evals.evals.retrieval.trec_run import trec_run
from rag_evals.evals.runs.merge import merge
from rag_evals.evals.runs.run import Run, read_run
from rag_evals.evals.trackers.messages import text_of

FORMATS = ("terminal", "markdown", "html", "csv", "junit", "parquet", "trec-run")


def add_report(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `report`."""
    parser.add_argument(
        "run_name",
        metavar="RUN",
        help="a run folder, its records.jsonl, a run's id, latest, wandb:[ENTITY/]PROJECT/RUN_ID, "
        "or a baseline's name or file",
    )
    parser.add_argument("--format", choices=FORMATS, default="terminal", help="default: terminal")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write to a file (default: standard output)")
    _add_labels(parser)
    add_home(parser)
    add_baselines(parser)
    parser.set_defaults(run=_report)


def _add_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--labels",
        type=Path,
        action="append",
        metavar="FILE",
        help="people's verdicts on its answers, which correct its headline on the terminal; may be repeated",
    )


def _report(options: argparse.Namespace) -> int:
    if options.format == "parquet" and options.out is None:
        raise UsageError("--format parquet is not for a terminal: name a file with --out")
    if options.labels and options.format != "terminal":
        raise UsageError(f"--labels correct the headline on the terminal: --format {options.format} has none")
    path = named_run(options.run_name, options.home, options.baselines)
    run = read_run(path)
    labels = load_people(options.labels, run.header.criteria) if options.labels else ()
    for note in run.notes:
        print(printable(note), file=sys.stderr)
    if options.format == "parquet":
        _write_parquet(run, options.out)
    elif options.out:
        write_text(options.out, _text(options.format, run, path, labels))
    else:
        _show(_text(options.format, run, path, labels))
    return 0


def _text(form: str, run: Run, path: Path, labels: Sequence[Labelled]) -> str:
    if form == "html":
        return run_html(run, gate=_gate(run), traces=waterfalls_of(path))
    if form == "markdown":
        return run_markdown(run, [line.text for line in _gate(run)])
    if form == "csv":
        return to_csv(run)
    if form == "trec-run":
        if len(names := dict.fromkeys(one.pipeline for one in run.evaluations)) > 1:
            told = f"{len(names)} pipelines are in it, told apart by the last column: {', '.join(names)}"
            print(printable(told), file=sys.stderr)
        return trec_run(run.retrievals or run.evaluations)
    return run_junit(run) if form == "junit" else _terminal(run, labels)


def _terminal(run: Run, labels: Sequence[Labelled]) -> str:
    # The table of no evaluation at all has no row; the run's notes say that it is empty.
    if not run.evaluations:
        return ""
    lines = closing_lines(run, decide(rules_from(run.header), run), breaches=True, labels=labels)
    return "".join(f"{line.text}\n" for line in lines).rstrip("\n") + "\n" if lines else ""


def _gate(run: Run) -> list[Line]:
    """Return what is decided of the run by the conditions that it was held to."""
    return decision_lines(decide(rules_from(run.header), run)) if run.evaluations else []


def _show(text: str) -> None:
    # What documents and models say must not drive a terminal; a file or a pipe gets it as it is.
    is_seen = sys.stdout.isatty()
    text = "\n".join(map(printable, text.split("\n"))) if is_seen else text
    coding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(coding, "backslashreplace").decode(coding))


def _write_parquet(run: Run, file: Path) -> None:
    try:
        write_parquet(run, file)
    except OSError as error:
        raise unwritable(file, error) from error


def add_comment(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `comment`."""
    parser.epilog = (
        "in GitHub Actions, with GITHUB_TOKEN; exit status 0 in any case, as the gate is not about a comment"
    )
    parser.add_argument(
        "run_name", nargs="?", default="latest", metavar="RUN", help="as of report (default: latest)"
    )
    parser.add_argument(
        "--name", default="rag-evals", help="which comment it is, of several (default: rag-evals)"
    )
    add_home(parser)
    parser.set_defaults(run=_comment)


def _comment(options: argparse.Namespace) -> int:
    try:
        said = printable(_commented(options, os.environ))
    except Exception as error:  # noqa: BLE001  # whatever it is, the gate is not about it
        said = printable(f"no comment: {text_of(error)}")
        if os.environ.get("GITHUB_ACTIONS") == "true":
            said = warning_line(said)
    print(said)
    return 0


def _commented(options: argparse.Namespace, environ: Mapping[str, str]) -> str:
    """Make the comment or update it where there is a pull request, and return what is to be said of it."""
    pull = pull_request_of(environ)
    if pull is None:
        return "no comment: this job is about no pull request"
    run = read_run(named_run(options.run_name, options.home))
    rulings = [event for _, event in run.records.events() if event["type"] == "ruling"]
    ruling = rulings[-1] if rulings and run.records.is_finished else {}
    if "conditions" in ruling:
        decision = decision_from_json(ruling, rules_from(run.header), run.evaluations)
        base = _base(ruling.get("baseline"))
    else:  # the session was killed
        decision, base = decide(rules_from(run.header), run), None
    text = comment_text(run, decision, base, environ=environ)
    token, api = environ.get("GITHUB_TOKEN", ""), environ.get("GITHUB_API_URL") or API
    return f"comment: {put_comment(pull, options.name, text, token=token, api=api)}"


def _base(path: str | None) -> Run | None:
    """Return what the run was held against, if it is still there."""
    try:
        return read_run(Path(path)) if path else None
    except EvalsError:
        return None


def add_merge(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `merge`."""
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run folder, its records.jsonl, a run's id, or latest"
    )
    parser.add_argument(
        "--partial", action="store_true", help="do without shards that are missing and damaged lines"
    )
    _add_labels(parser)
    parser.add_argument("--out", type=Path, help="folder of runs that gets the new one (default: --home)")
    add_home(parser)
    parser.set_defaults(run=_merge)


def _merge(options: argparse.Namespace) -> int:
    strict = not options.partial
    runs = [read_run(named_run(text, options.home), strict=strict) for text in options.runs]
    own = dict.fromkeys(name for run in runs for name in run.header.criteria)
    labels = load_people(options.labels, own) if options.labels else ()
    whole = merge(runs, options.out or options.home, partial=options.partial)
    decision = decide(rules_from(whole.header), whole)
    for note in whole.notes:
        print(printable(note))
    print("\n".join(merged_lines(whole, decision, labels)))
    return 0 if holds(whole, decision) else 1


def merged_lines(whole: Run, decision: Decision, labels: Sequence[Labelled] = ()) -> list[str]:
    """Return the summary that pytest would have printed of a run that was made of several.

    Breaches are listed in all modes; `labels` are people's verdicts on answers of the runs.
    """
    lines = closing_lines(whole, decision, breaches=True, labels=labels)
    return [*(line.text for line in lines), f"run: {printable(str(whole.records.folder))}"]


def holds(whole: Run, decision: Decision) -> bool:
    """Return whether pytest would have ended with status 0."""
    is_strict = decision.rules.mode == "strict"
    return not decision.fails and not (is_strict and any(e.breaches for e in whole.evaluations))
