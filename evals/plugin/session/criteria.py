"""The criteria of a project: what its fixture `evals_criteria` lists, known before the first test runs."""

from __future__ import annotations

import inspect
import os
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.judges.criteria.check import Check, raised
from rag_evals.evals.judges.metrics import Metric, MetricSet
from rag_evals.evals.plugin.our_tests import FIXTURES
from rag_evals.evals.plugin.session.own_metrics import own_metrics
from rag_evals.evals.plugin.terminal.pytest_internals import fixture_function
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer

FIXTURE = "evals_criteria"


class ListedCriteria:
    """What the fixture of a run's tests lists: one list a run.

    Names of metrics stand in options, marks and question files, which are read as tests are collected: the
    fixture's function is called then, and may take no other fixture but `pytestconfig`.

    Attributes:
        metrics: The metrics of the list.
    """

    def __init__(self) -> None:
        self.metrics: tuple[Metric, ...] = ()
        self._seen: tuple[str, Any] | None = None
        self._problem: str | None = None

    def see(self, item: pytest.Item) -> None:
        """Take the list that a test sees.

        Raises:
            UsageError: There is something wrong with it, or it is another one than that of a test before.
        """
        function = fixture_function(item, FIXTURE)
        if self._seen is None:
            self._seen = (item.nodeid, function)
            if _is_projects(function):
                self._try(function, item.config)
        first, known = self._seen
        if function is not known:
            places = [
                f"{node} has {_place(one, item.config)}"
                for node, one in ((first, known), (item.nodeid, function))
            ]
            raise UsageError(
                f"two lists of criteria in one run: {'; '.join(places)}: a run has one, give the fixture "
                f"{FIXTURE} in a conftest.py above both"
            )
        if self._problem is not None:
            raise UsageError(self._problem)

    def take(self, function: Any, config: pytest.Config) -> None:
        """Take what the function of a fixture gives.

        Raises:
            UsageError: There is something wrong with it.
        """
        where = _place(function, config)
        self.metrics = own_metrics(_called(function, config, where), where)

    def _try(self, function: Any, config: pytest.Config) -> None:
        try:
            self.take(function, config)
        except UsageError as error:
            self._problem = str(error)


def _is_projects(function: Any) -> bool:
    """Return whether a list is the project's, and not the empty one of ours."""
    return function is not None and function.__module__ != FIXTURES


def _called(function: Any, config: pytest.Config, where: str) -> object:
    """Return what the function of the fixture gives.

    Raises:
        UsageError: It asks for more than there is before the first test, or raises.
    """
    names = list(inspect.signature(function).parameters)
    if names not in ([], ["pytestconfig"]):
        raise UsageError(
            f"{where} takes {', '.join(names)}: it is called before any fixture is there, as names of "
            "metrics have to be known then; it may take pytestconfig, or nothing"
        )
    if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
        raise UsageError(f"{where} is a generator or async: return the list")
    try:
        return function(*([config] if names else []))
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from error
    except Exception as error:
        raise UsageError(f"{where} raised {raised(error)}") from error


def _place(function: Any, config: pytest.Config) -> str:
    """Return the fixture with the file and the line that it stands in."""
    if not _is_projects(function):
        return "none"
    code = inspect.unwrap(function).__code__
    return f"{FIXTURE} ({os.path.relpath(code.co_filename, config.rootpath)}:{code.co_firstlineno})"


def criteria_at(path: Path) -> tuple[Metric, ...]:
    """Return the metrics that the fixture of a folder or a file of tests lists, for a command.

    Raises:
        UsageError: There is none, or something is wrong with it.
    """
    file = path / "conftest.py" if (path / "conftest.py").is_file() else path
    finder = _Finder()
    quiet = ("--collect-only", "-p", "no:terminal", "-p", "no:cacheprovider", "-o", "addopts=")
    # What runs this has imported modules of ours already, which pytest would rewrite: no error of theirs.
    known = ("-W", "ignore::pytest.PytestAssertRewriteWarning")
    status = pytest.main([*quiet, *known, str(file)], plugins=[finder])
    if status == pytest.ExitCode.USAGE_ERROR:
        raise UsageError(f"the criteria of {path} cannot be read: what pytest says of it stands above")
    if finder.problem is not None:
        raise UsageError(finder.problem)
    if not finder.metrics:
        raise UsageError(
            f"{path} has no criteria: give the folder of the tests whose conftest.py has a fixture {FIXTURE}"
        )
    return finder.metrics


class _Finder:
    """Takes the list of criteria of a session of pytest that runs no tests."""

    def __init__(self) -> None:
        self.metrics: tuple[Metric, ...] = ()
        self.problem: str | None = None

        self._file: pytest.Collector | None = None

    def pytest_collectstart(self, collector: pytest.Collector) -> None:
        """Keep which folder or file is read."""
        self._file = collector

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Take it, when all files are read."""
        function = fixture_function(self._file or session, FIXTURE)
        if not _is_projects(function):
            return
        listed = ListedCriteria()
        try:
            listed.take(function, session.config)
        except UsageError as error:
            self.problem = str(error)
        self.metrics = listed.metrics


def heard_metrics(told: dict[str, Any]) -> MetricSet:
    """Return the metrics of a run's own as a worker tells them: with their names, not what they do."""
    return MetricSet(
        tuple(Metric(name, "", bool, own=Check(name, _not_here, told=about)) for name, about in told.items())
    )


def _not_here(question: Question, answer: Answer) -> None:
    raise NotImplementedError(f"{question.id} is evaluated in a worker, and so is {answer.text[:20]!r}")
