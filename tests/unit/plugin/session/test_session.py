"""The session: what is shared, when it is made, and what its processes tell each other."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.gate.rules import Rules
from rag_evals.evals.plugin.session.options import OPTIONS
from rag_evals.evals.plugin.session.session import EvalsSession
from rag_evals.evals.plugin.session.settings import Settings, settings_from
from rag_evals.evals.plugin.workers import Workers
from rag_evals.evals.testing import FakeJudge
from rag_evals.evals.trackers.options import TrackerOptions

CLOCK = {"began": 1.0, "name": "rag-evals-1"}
JUDGE = FakeJudge({"faithfulness": 0.9})


class Screen:
    """Keeps what is said."""

    is_shown = False

    def __init__(self):
        self.said = []

    def say(self, line):
        self.said.append(line)

    def hear(self, lines):
        self.said += lines

    def uncaptured(self):
        return nullcontext()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """What is set where nobody says anything."""
    defaults = {option.ini: option.default for option in OPTIONS}
    return settings_from(
        SimpleNamespace(rootpath=tmp_path, getoption=lambda name: None, getini=defaults.__getitem__)
    )


@pytest.fixture
def session_with(settings):
    """Yield a session with changed settings; it is closed at the end."""
    made = []

    def session(workers=Workers(), on_stop=None, **changes) -> EvalsSession:  # noqa: B008
        made.append(
            EvalsSession(lambda _: replace(settings, **changes), Screen(), workers, on_stop=on_stop, **CLOCK)
        )
        return made[-1]

    yield session
    for one in made:
        one.close()


def refused(call) -> str:
    with pytest.raises(UsageError) as caught:
        call()
    return str(caught.value)


def test_settings_are_read_when_they_are_wanted(settings):
    """A session that evaluates nothing never reads them; another reads them once."""
    reads = []
    session = EvalsSession(lambda _: reads.append(1) or settings, Screen(), **CLOCK)
    assert reads == []
    assert session.settings is session.settings is settings
    assert reads == [1]


def test_everything_is_made_once(session_with, settings):
    """Engine, cost and plans share the cache; nothing is made before it is wanted."""
    session = session_with()
    session.begin()
    assert not settings.home.exists()
    session.give_up()
    assert session.engine is session.engine
    assert session.reuse_cache.cache is session.cache is session.cache
    assert session.budget is session.budget
    assert session.materials.resources is session.materials.resources
    assert (session.baseline, session.rejudge_tasks, session.early(JUDGE)) == (None, None, None)


def test_without_the_cache(session_with):
    """Nothing is kept."""
    assert session_with(cache=False).cache is None


def test_what_is_wrong_is_said_at_once(session_with, tmp_path):
    """Trackers, label files and baselines that are not there are said before anything runs."""
    assert refused(session_with(trackers=TrackerOptions(others=("nobody",))).begin).startswith(
        "unknown tracker 'nobody': there are "
    )
    assert refused(session_with(baseline="gone").begin).startswith("no run 'gone': it is no folder")
    assert "labels.jsonl" in refused(session_with(labels=(tmp_path / "labels.jsonl",)).begin)
    assert refused(lambda: session_with(trackers=TrackerOptions(otlp="wandb")).settings) == (
        "evals_otlp = wandb: say which project with --evals-wandb ENTITY/PROJECT"
    )


def test_the_first_run_with_a_new_baseline(session_with):
    """A run that makes the baseline has nothing to compare with when there is none."""
    session = session_with(baseline="main", update_baseline=True)
    session.begin()
    assert session.baseline is None


def test_stopping_early(session_with):
    """What decides early is shared by all tests."""
    session = session_with(baseline=None, rules=Rules("gate", stop_early=True), update_baseline=False)
    session.__dict__["settings"] = session._read(session._known)  # there is nothing to hold it to
    assert session.early(JUDGE) is session.early(JUDGE) is not None


def test_questions(session_with, settings):
    """They are read once; the sets of the record are theirs."""
    file = settings.root / "q.jsonl"
    file.write_text(json.dumps({"id": "a", "question": "Why?"}) + "\n")
    session = session_with(questions=(str(file),))
    assert session.questions.sets == {}
    (question,) = session.questions.asked
    assert (question.id, session.questions.asked is session.questions.asked) == ("a", True)
    assert session.questions.stale == {}
    assert session_with(questions=(str(file),), workers=Workers(2)).questions.sets == {file: (question,)}


def test_no_questions(session_with):
    """Without any it says where they could come from."""
    assert refused(lambda: session_with().questions.asked) == (
        "no questions: give --evals-questions GLOB, or --evals-generate N to have them written, or set "
        "evals_questions in the ini file"
    )


def test_a_worker_tells_what_is_wrong(session_with):
    """The controller says it; of what several workers say it keeps the problem."""
    controller = session_with()
    worker = session_with(workers=Workers(2, told={}, output={}))
    worker.report("no documents")
    assert (worker.problem, worker.workers.output) == ("no documents", {"evals_problem": "no documents"})
    controller.hear(worker.workers.output)
    controller.hear({"evals_said": ["generating questions"]})
    assert (controller.problem, controller.screen.said) == ("no documents", ["generating questions"])


def test_once(session_with):
    """What is said once a process is said by whoever asks first."""
    session = session_with()
    asked = [("judge", "1"), ("judge", "1"), ("judge", "2"), ("judge",)]
    assert [session.is_first(*key) for key in asked] == [True, False, True, True]


def test_stopping(session_with):
    """Pytest is told the reason; a wrong configuration skips the test, too."""
    reasons = []
    session = session_with(on_stop=reasons.append)
    session.stop("the model's process died twice")
    with pytest.raises(pytest.skip.Exception):
        session.refuse(UsageError("no documents"))
    assert reasons == ["the model's process died twice", "the configuration is wrong"]
    assert session.problem == "no documents"
