"""GitHub Actions: annotations and the summary of the step, when a session runs there.

A line that begins with `::`, blanks aside, or has `##[` anywhere, is a command for GitHub's runner
(ActionCommand.cs of actions/runner). What documents and models say is printed between two lines that stop
commands, and stands escaped in ours.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from rag_evals.evals.base.messages import printable
from rag_evals.evals.gate.comparison.compare import compare
from rag_evals.evals.gate.decision import Decision
from rag_evals.evals.gate.run_gate import ConditionResult
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.reports.comparison_text import verdict_text
from rag_evals.evals.reports.markdown import comparison_markdown, run_markdown
from rag_evals.evals.reports.terminal.gate_table import remark, value_texts
from rag_evals.evals.reports.terminal.summary import decision_lines
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.run import Run

# GitHub shows so many errors and so many warnings a step.
SHOWN = 10
# GitHub drops the summary of a step that is larger, or within two bytes of it (actions/runner issue 4337).
SUMMARY_BYTES = 1024 * 1024 - 2

Level = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Annotation:
    """Something to show beside a test.

    Attributes:
        level: Whether it fails the session.
        title: Its headline.
        message: What is to be said; may have more than one line.
        test: Node id of the test; empty for what concerns the whole run.
    """

    level: Level
    title: str
    message: str
    test: str = ""


def stopping_lines() -> tuple[str, str]:
    """Return the line that stops commands, and the one that lets them go on: nobody can guess it."""
    token = os.urandom(16).hex()
    return f"::stop-commands::{token}", f"::{token}::"


def github_annotations(
    evaluations: Sequence[Evaluation],
    decision: Decision | None = None,
    *,
    root: Path = Path(),
    workspace: Path | None = None,
) -> list[str]:
    """Return the workflow commands for what is wrong with a run.

    Breaches come first, then what was decided of the whole run. What does not fail the session is a warning:
    a breach outside strict mode, INCONCLUSIVE as a rule. GitHub shows ten errors and ten warnings a step:
    the last says how many more there are.

    Args:
        evaluations: Those of the run.
        decision: What was decided; None where a breach fails its test and nothing else is held.
        root: Folder that node ids are relative to.
        workspace: Folder of the checkout, to which GitHub's paths are relative; `root` by default.
    """
    found = [*_breaches(evaluations, decision), *(_decisions(decision) if decision else ())]
    levels: tuple[Level, Level] = ("error", "warning")
    return [
        _command(annotation, root, workspace or root)
        for level in levels
        for annotation in _first([one for one in found if one.level == level])
    ]


def tell_github(
    environ: Mapping[str, str],
    run: Run,
    decision: Decision,
    *,
    root: Path,
    base: Run | None = None,
    more: str = "",
) -> list[str]:
    """Return the workflow commands of a run, and add the run to the summary of the step.

    A summary that cannot be written is a warning among the commands.

    Args:
        environ: The environment, which names the folder of the checkout and the file of the summary.
        run: The run.
        decision: What was decided.
        root: Folder that node ids are relative to.
        base: The run that it was held to; None without.
        more: Markdown for the end of the summary.
    """
    workspace = environ.get("GITHUB_WORKSPACE")
    lines = github_annotations(
        run.evaluations, decision, root=root, workspace=Path(workspace) if workspace else None
    )
    summary = environ.get("GITHUB_STEP_SUMMARY")
    text = summary_text(run, decision, base) + more
    trouble = append_summary(Path(summary), text) if summary else None
    return [*lines, warning_line(trouble)] if trouble else lines


def warning_line(text: str) -> str:
    """Return the workflow command that warns of something that is about no test."""
    return _command(Annotation("warning", "evals", text), Path(), Path())


def summary_text(run: Run, decision: Decision, base: Run | None = None) -> str:
    """Return the summary of the step: the run, and how it compares."""
    text = run_markdown(run, [line.text for line in decision_lines(decision)])
    if base is None or decision.baseline is None:
        return text

    # The verdict that was ruled, which knows how far the judge is to be trusted.
    comparison = replace(compare(run, base, margin=decision.rules.margin), gate=decision.baseline)
    return f"{text}\n{comparison_markdown(comparison)}"


def unsent_text(unsent: Sequence[str], folder: Path) -> str:
    """Return what the summary says of trackers that did not send all of a run; empty where all did.

    Args:
        unsent: What they said, in lines with the command that sends the rest.
        folder: The run folder.
    """
    if not unsent:
        return ""
    from rag_evals.evals.reports.markdown import code_span

    lines = "".join(f"- {code_span(line)}\n" for line in unsent)
    kept = code_span(os.path.relpath(folder))
    return (
        f"\n### Not all was sent\n\n{lines}\nThe records have all of it: keep {kept} as an artifact of the "
        "job; where it is downloaded, `rag-evals replay FOLDER` sends the rest.\n"
    )


def append_summary(file: Path, text: str) -> str | None:
    """Add `text` to the summary of the step; return one line if that cannot be done, and never raise."""
    told = text.encode("utf-8", "backslashreplace")
    try:
        size = file.stat().st_size if file.exists() else 0
        told = b"\n" + told if size else told
        if size + len(told) > SUMMARY_BYTES:
            return (
                f"the step summary was not written: {size:,} bytes are in it, {len(told):,} more are too "
                "many for GitHub, which takes 1 MiB a step"
            )
        with file.open("ab") as opened:
            opened.write(told)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return printable(f"the step summary was not written: {file}: {reason}")
    return None


def _breaches(evaluations: Sequence[Evaluation], decision: Decision | None) -> Iterator[Annotation]:
    level: Level = "error" if decision is None or decision.rules.mode == "strict" else "warning"
    for evaluation in evaluations:
        if evaluation.breaches:
            title = f"{evaluation.pipeline} {evaluation.question.id}"
            yield Annotation(level, title, "\n".join(evaluation.breaches), evaluation.test)


def _decisions(decision: Decision) -> Iterator[Annotation]:
    said = [(one.verdict, _held_text(one)) for one in decision.held]
    if decision.baseline:
        said.append(
            (decision.baseline.verdict, verdict_text(decision.baseline, "the run", decision.baseline.name))
        )
    for verdict, line in said:
        if level := _level(verdict, decision):
            yield Annotation(level, "evals gate", line)
    if decision.over_budget:
        yield Annotation("error", "evals gate", decision.over_budget)


def _held_text(held: ConditionResult) -> str:
    value, interval = value_texts(held)
    found = f"{held.verdict}: {held.text}: {value}, 95 % interval {interval}"
    said = remark(held)
    return f"{found}; {said}" if said else found


def _level(verdict: Verdict, decision: Decision) -> Level | None:
    """Return how loud a verdict is; None for one of which nothing is to be said."""
    is_quiet = verdict is Verdict.INCONCLUSIVE and decision.rules.inconclusive == "pass"
    if verdict is Verdict.PASS or is_quiet:
        return None
    is_warning = verdict is Verdict.INCONCLUSIVE and decision.rules.inconclusive == "warn"
    return "error" if decision.fails and not is_warning else "warning"


def _first(annotations: Sequence[Annotation]) -> Iterator[Annotation]:
    """Yield as many as GitHub shows, the last of them with the number of those left out."""
    more = len(annotations) - SHOWN
    for n, one in enumerate(annotations[:SHOWN], 1):
        said = f"{one.message}\nand {more:,} more: see the log" if n == SHOWN and more > 0 else one.message
        yield Annotation(one.level, one.title, said, one.test)


def _command(annotation: Annotation, root: Path, workspace: Path) -> str:
    properties = {"title": annotation.title}
    if annotation.test:
        name = annotation.test.partition("::")[0]
        line = _line_of(annotation.test, root)
        properties = {
            "file": _path(name, root, workspace),
            **({"line": str(line)} if line else {}),
            **properties,
        }
    given = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    message = "\n".join(map(printable, annotation.message.split("\n")))
    return f"::{annotation.level} {given}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(printable(text)).replace(":", "%3A").replace(",", "%2C")


def _path(name: str, root: Path, workspace: Path) -> str:
    """Return the path of the file `name` of `root` as GitHub knows it: from the folder of the checkout."""
    file, folder = (root / name).resolve(), workspace.resolve()
    return file.relative_to(folder).as_posix() if file.is_relative_to(folder) else name


def _line_of(test: str, root: Path) -> int | None:
    """Return the line of the test's function, from 1; None where its file cannot tell."""
    name, *parts = test.partition("[")[0].split("::")
    try:
        body = ast.parse((root / name).read_bytes()).body
    except (OSError, ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    line = None
    for part in parts:
        found = next((node for node in body if getattr(node, "name", None) == part), None)
        if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            return None
        line, body = found.lineno, found.body
    return line
