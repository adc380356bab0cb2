"""The session of pytest in an actor: it sets up the fixtures of a test and answers for the controller.

It is pytest as it was called there, on the same conftest, plugins and ini file, with one question; in
place of the body of a test it takes what it is asked, until it is to end.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Generator, Mapping
from concurrent.futures import Future, wait
from contextlib import redirect_stderr
from functools import partial
from hashlib import sha256
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TextIO

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.messages import printable
from rag_evals.evals.engine.backends.cluster.messages import BASE, NodeSpec, Reply, Request
from rag_evals.evals.engine.engine import DaemonThreads
from rag_evals.evals.plugin.our_tests import group_of
from rag_evals.evals.plugin.session.cluster.node_evaluations import EvaluationMaker
from rag_evals.evals.plugin.session.session import session_of

# Seconds that collecting the tests of one question may take.
COLLECTING = 600.0
# Seconds that fixtures have to end what they made; whoever ends the actor may wait for less.
ENDING = 30.0
# What reports, records or decides is the controller's; what it is told is said by the arguments behind it.
_HERE: Mapping[str, Any] = {
    "keyword": "",
    "markexpr": "",
    "deselect": None,
    "xmlpath": None,
    "numprocesses": None,
    "dist": "no",
    "tx": [],
    "maxfail": 0,
    "lf": False,
    "failedfirst": False,
    "newfirst": False,
    "stepwise": False,
    "collectonly": False,
    "evals_generate": "0",
    "evals_baseline": "",
    "evals_continue": "",
    "evals_gate": [],
    "evals_html": "",
    "evals_labels": [],
    "evals_max_cost": "",
    "evals_mask": [],
    "evals_max_minutes": "",
    "evals_mode": "report",
    "evals_otlp": "",
    "evals_plan": False,
    "evals_ray": "",
    "evals_refresh": "",
    "evals_rejudge": False,
    "evals_repeat": "1",
    "evals_sample": "0",
    "evals_seed": "0",
    "evals_shard": "",
    "evals_stop_early": False,
    "evals_stratify": "",
    "evals_trackers": [],
    "evals_update_baseline": False,
    "evals_wandb": "",
}
# What goes with a log is what is asked in its place: that nothing is.
_LOGGED: Mapping[str, Any] = dict.fromkeys(("evals_generate", "evals_pipelines", "evals_questions"))
# The actor was us before pytest was: our own assertions need not be rewritten.
_KNOWN = "ignore:Module already imported so cannot be rewritten:pytest.PytestAssertRewriteWarning"
# Plugins that would end a test that takes as long as the run, or record it.
_LEFT_OUT = ("timeout", "pytest_timeout", "rerunfailures", "randomly")
_RECORDING = ("rag_evals.evals.plugin.attempts", "evals-live", "evals-summary", "evals-github")


def start_node(spec: NodeSpec) -> Node:
    """Begin the session that `spec` says, and wait until its tests are collected.

    Raises:
        UsageError: They cannot be collected here.
    """
    node = Node(spec)
    node.start()
    return node


class Node:
    """A session of pytest in a thread, and a loop on which evaluations are made.

    Args:
        spec: Says which.
    """

    def __init__(self, spec: NodeSpec) -> None:
        self._spec = spec
        self._asked: SimpleQueue[tuple[Request, Future[Reply]] | None] = SimpleQueue()
        self._next: tuple[Request, Future[Reply]] | None = None
        self._is_over = False
        self._is_ready = threading.Event()
        self._problem = ""
        self._said: list[str] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_default_executor(DaemonThreads())
        self._answered = time.monotonic()
        self._is_looked_at = False
        self._pytest = threading.Thread(target=self._run, name="evals-node", daemon=True)

    def start(self) -> None:
        """Begin, and wait until the tests are collected.

        Raises:
            UsageError: They cannot be.
        """
        threading.Thread(target=self._loop.run_forever, name="evals-engine", daemon=True).start()
        self._pytest.start()
        if not self._is_ready.wait(COLLECTING):
            raise UsageError(f"its tests are not collected within {COLLECTING:g} s")
        if self._problem:
            raise UsageError(self._problem)

    def submit(self, request: Request) -> Future[Reply]:
        """Begin with what is asked."""
        future: Future[Reply] = Future()
        self._asked.put((request, future))
        if self._problem:  # nobody takes it any more
            _refuse(future, self._problem)
        return future

    def stalled(self) -> float:
        """Return for how many seconds the loop has not answered."""
        if not self._is_looked_at:
            self._is_looked_at, self._answered = True, time.monotonic()
            self._loop.call_soon_threadsafe(setattr, self, "_is_looked_at", False)
            return 0.0
        return time.monotonic() - self._answered

    def end(self) -> None:
        """End the session; its fixtures have some seconds for what they made."""
        self._asked.put(None)
        self._pytest.join(ENDING)

    def _run(self) -> None:
        """Run pytest until it is to end."""
        try:
            with redirect_stderr(_Heard(sys.stderr)) as heard:
                status = self._run_pytest()
            said = self._said or heard.lines
            self._problem = self._problem or "; ".join(said) or f"pytest ended with {status}"
        except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
            self._problem = f"pytest raised {type(error).__name__}: {error}"
        self._problem = printable(self._problem)
        self._is_ready.set()

    def _run_pytest(self) -> int | pytest.ExitCode:
        spec = self._spec
        base = spec.base or str(Path.cwd())
        folder = Path(base, spec.folder)
        os.chdir(folder)
        if spec.is_on_path and str(folder) not in sys.path:
            sys.path.insert(0, str(folder))
        with tempfile.TemporaryDirectory(prefix="rag-evals-node-") as own:
            question = Path(own, "question.jsonl")
            question.write_text(spec.question + "\n", "utf-8")
            arguments = [one.replace(BASE, base) for one in spec.arguments]
            options = {
                **_HERE,
                **(_LOGGED if spec.is_logged else {}),
                "file_or_dir": [one.replace(BASE, base) for one in spec.tests],
                "evals_answers" if spec.is_logged else "evals_questions": [str(question)],
                "evals_home": spec.home or str(_own_home(base)),
                "evals_no_cache": not spec.keeps,
                "evals_traces": spec.is_traced,
            }
            return pytest.main([*arguments, "-s", "-W", _KNOWN], plugins=[NodeHooks(self, options)])

    def collected(self, problem: str = "") -> None:
        """Note that tests are collected, or why they are not."""
        self._problem = problem
        if not problem:
            self._is_ready.set()

    def say(self, text: str) -> None:
        """Note what pytest says is wrong."""
        self._said.append(text)

    def group(self) -> str | None:
        """Wait until something is asked, and return the group of it; None at the end."""
        if self._next is None and not self._is_over:
            self._next = self._asked.get()
            self._is_over = self._next is None
        return None if self._next is None else self._next[0].origin.test

    def refuse_next(self, reason: str) -> None:
        """Refuse what was asked last."""
        if self._next:
            _refuse(self._next[1], reason)
        self._next = None

    def serve(self, item: pytest.Function) -> None:
        """Answer what is asked of the pipeline and the judge of `item`, until another group is asked for."""
        maker = EvaluationMaker(item)
        under_way: set[Future[Reply]] = set()
        while self.group() == group_of(item) and self._next:
            request, future = self._next
            self._next = None
            made = asyncio.run_coroutine_threadsafe(maker.reply(request), self._loop)
            under_way.add(made)
            made.add_done_callback(partial(_settle, future))
            made.add_done_callback(under_way.discard)
        wait(list(under_way))


def _settle(future: Future[Reply], made: Future[Reply]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    if made.cancelled():
        future.set_result(Reply(refused="its loop was ended"))
    elif error := made.exception():
        future.set_exception(error)
    else:
        future.set_result(made.result())


def _refuse(future: Future[Reply], reason: str) -> None:
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_result(Reply(refused=reason))


def _own_home(base: str) -> Path:
    """Return the folder of indexes that all actors on this node have for what lies in `base`."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "rag-evals" / "nodes" / sha256(Path(base).name.encode()).hexdigest()[:12]


class _Heard(io.TextIOBase):
    """Standard error, of which the last lines are kept: there pytest says what is wrong with a conftest."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._texts: deque[str] = deque(maxlen=20)

    @property
    def lines(self) -> list[str]:
        """The last lines, without the white space around them."""
        return [line.strip() for line in "".join(self._texts).splitlines() if line.strip()]

    def write(self, text: str) -> int:
        """Write to it, and keep."""
        self._texts.append(text)
        return self._stream.write(text)

    def flush(self) -> None:
        """Flush it."""
        self._stream.flush()

    def isatty(self) -> bool:
        """Return that nobody looks on."""
        return False


class NodeHooks:
    """The plugin that makes a session answer.

    Args:
        node: Gets what is asked.
        options: What of the command line is otherwise here.
    """

    def __init__(self, node: Node, options: Mapping[str, Any]) -> None:
        self._node = node
        self._options = options
        self._trouble = ""

    @pytest.hookimpl(wrapper=True)
    def pytest_cmdline_main(self, config: pytest.Config) -> Generator[None, Any, Any]:
        """Have nothing recorded, reported or left out here."""
        for name, value in self._options.items():
            setattr(config.option, name, value)
        config.args = list(self._options["file_or_dir"])
        for name in _LEFT_OUT:
            if config.pluginmanager.has_plugin(name):
                config.pluginmanager.unregister(name=name)
        try:
            return (yield)
        except pytest.UsageError as error:
            self._node.say(str(error))
            raise

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note what cannot be collected."""
        if report.failed:
            self._node.say(f"{report.nodeid}: {_last_line(report.longreprtext)}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Set up the tests that are asked for, and answer with them."""
        items = {
            group_of(item): item for item in reversed(session.items) if isinstance(item, pytest.Function)
        }
        if session.testsfailed or not items:
            return True
        for name in _RECORDING:
            if session.config.pluginmanager.has_plugin(name):
                session.config.pluginmanager.unregister(name=name)
        self._node.collected()
        while (group := self._node.group()) is not None:
            item = items.get(group)
            if item is None:
                self._node.refuse_next(f"there is no test {group}")
                continue
            self._trouble = ""
            item.runtest = partial(self._node.serve, item)  # type: ignore[method-assign]
            # Which test is next is not known yet: of what was set up only the session's stays.
            session.config.hook.pytest_runtest_protocol(item=item, nextitem=session)
            if trouble := session_of(session.config).problem or self._trouble:
                self._node.refuse_next(trouble)
        return True

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note why a test cannot be set up."""
        if report.when == "setup" and not report.passed:
            self._trouble = f"{report.nodeid} cannot be set up: {_last_line(report.longreprtext)}"


def _last_line(text: str) -> str:
    lines = [line.removeprefix("E").strip() for line in text.splitlines() if line.startswith("E ")]
    return printable(lines[0] if lines else text.strip().rpartition("\n")[2])
