"""The table of commands of `rag-evals`; only the module of the one that is called is imported."""

from __future__ import annotations

import argparse
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from rag_evals.evals.base.errors import EvalsError
from rag_evals.rag.errors import RagError

USAGE_ERROR = 4

# What `label` does: the first where none is said.
LABEL_VERBS = ("page", "merge", "agreement")

# By name: what declares the options, as a module of this package and a function of it, and the line of help.
COMMANDS: Mapping[str, tuple[str, str]] = {
    "init": (
        "start:add_init",
        "write a suite into this repository: a test, a pipeline, questions",
    ),
    "run": ("start:add_run", "put the bundled suite to work in this folder; takes pytest's arguments"),
    "docs": ("start:add_docs", "read documents and show what was read of them, and what was not"),
    "ask": ("start:add_ask", "put one question, or several, to a pipeline and show the answer"),
    "continue": ("start:add_continue", "go on with a run that was interrupted: only what is missing is made"),
    "plan": (
        "start:add_plan",
        "say what a run would take: reused, tokens, minutes, cost; takes pytest's arguments",
    ),
    "merge": (
        "runs.report:add_merge",
        "join the runs of several shards into one run, and hold the whole to its thresholds",
    ),
    "report": ("runs.report:add_report", "a finished run as text, Markdown, HTML, CSV, Parquet or JUnit"),
    "comment": ("runs.report:add_comment", "a run as the one comment on its pull request, made or updated"),
    "replay": ("runs.replay:add_replay", "send a recorded run to Weights & Biases, or what it misses"),
    "compare": ("runs.compare:add_compare", "compare a run with another or with a baseline"),
    "baseline": ("runs.baseline:add_baseline", "keep a run as a baseline, or list the baselines"),
    "flaky": (
        "runs.compare:add_flaky",
        "questions whose verdict flips over repeats and past runs, and how noisy scores are",
    ),
    "generate": ("generate:add_generate", "write questions about documents, filtered, with their sources"),
    "models": ("models:add_models", "list, fetch and verify models"),
    "judges": ("judges.listing:add_judges", "list judges: figures, size, and what they take here"),
    "calibrate": ("judges.calibrate:add_calibrate", "measure the judge on labelled answers: a judge card"),
    "label": (
        "judges.label:add_label",
        "ask people of a run's answers in a browser; merge their labels, say how far they agree",
    ),
    "doctor": ("judges.calibrate:add_doctor", "try llama.cpp, then to talk the judge into false verdicts"),
    "cache": ("cache:add_cache", "what earlier runs made: show, explain, drop or verify it"),
    "answers": (
        "answers.verbs:add_answers",
        "make a log of answers of other tools' files, and questions of what failed",
    ),
    "questions": ("questions.verbs:add_questions", "keep question files: check, review, audit, convert them"),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return the exit status: its own, or 4 with one message when something is wrong."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] in (["plan"], ["run"]) and given[1:2] not in (["-h"], ["--help"]):
        given.insert(1, "--")  # all that follows is for pytest, options too
    if given[:1] == ["label"] and given[1:2] not in (["-h"], ["--help"], *([verb] for verb in LABEL_VERBS)):
        given.insert(1, LABEL_VERBS[0])  # `label RUN` is for short
    options = parser_for(given).parse_args(given)
    try:
        status: int = options.run(options)
    except (RagError, EvalsError) as error:
        print(f"ERROR: {error}", file=sys.stderr)
        return USAGE_ERROR
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return status


class _Parser(argparse.ArgumentParser):
    """Ends with the status of a wrong call: argparse's own, 2, is that of INCONCLUSIVE."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE_ERROR, f"{self.prog}: error: {message}\n")


def parser_for(given: Sequence[str]) -> argparse.ArgumentParser:
    """Return the parser of a call: all commands by name, the options of the one that is called."""
    parser = _Parser(
        prog="rag-evals", description="Evaluate retrieval-augmented generation with pytest, locally."
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    called = next((argument for argument in given if argument in COMMANDS), None)
    for name, (place, line) in COMMANDS.items():
        command = commands.add_parser(name, help=line)
        if name == called:
            add_options: Callable[[argparse.ArgumentParser], None] = pkgutil.resolve_name(
                f"{__package__}.{place}"
            )
            add_options(command)
    return parser
