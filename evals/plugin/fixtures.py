"""The fixtures that every session has: `pipeline`, `evaluate`, and what the run is made of."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.plugin.door import begun_session
from rag_evals.evals.plugin.our_tests import EVALUATE, EVALUATE_RETRIEVAL
from rag_evals.rag.errors import RagError

if TYPE_CHECKING:
    from rag_evals.evals.engine.cache import Cache
    from rag_evals.evals.judges.criteria.check import Check
    from rag_evals.evals.judges.criteria.criterion import Criterion
    from rag_evals.evals.judges.judge import Judge
    from rag_evals.evals.plugin.evaluate_fixture import Evaluate, EvaluateRetrieval
    from rag_evals.evals.plugin.session.session import EvalsSession
    from rag_evals.evals.plugin.session.settings import Settings
    from rag_evals.rag.answer import Pipeline

EVALUATING = (EVALUATE, EVALUATE_RETRIEVAL)


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(
    fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest
) -> Generator[None, Any, Any]:
    """Let what evaluates begin in its test.

    The session stops when a fixture finds the configuration wrong: one line, not an error a question.
    """
    __tracebackhide__ = True  # other errors are none of our business
    try:
        given = yield
        if fixturedef.argname in EVALUATING and getattr(fixturedef.func, "__module__", "") == __name__:
            given.begin(request.node, begun_session(request.config))
        return given
    except (RagError, UsageError) as error:
        begun_session(request.config).refuse(error)


@pytest.fixture(scope="session")
def evals_session(pytestconfig: pytest.Config) -> EvalsSession:
    """What the evaluations of this session share."""
    session = begun_session(pytestconfig)
    session.begin()
    return session


@pytest.fixture(scope="session")
def evals_settings(evals_session: EvalsSession) -> Settings:
    """The settings of this run."""
    return evals_session.settings


@pytest.fixture(scope="session")
def evals_cache(evals_session: EvalsSession) -> Cache | None:
    """What earlier runs made; None with `--evals-no-cache`."""
    return evals_session.cache


@pytest.fixture(scope="session")
def evals_criteria() -> Sequence[Criterion | Check]:
    """Criteria and checks of the project's own, which are metrics of its runs: none, until it lists some.

    The function is called as tests are collected, before other fixtures are there.
    """
    return ()


@pytest.fixture(scope="session")
def pipeline(request: pytest.FixtureRequest) -> Pipeline:
    """The pipeline under evaluation: the fixture that `--evals-pipelines` names.

    The name of the fixture is the pipeline's name in ids and reports.
    """
    from rag_evals.rag.answer import Pipeline

    name = getattr(request, "param", None)
    if name is None:
        settings = begun_session(request.config).settings
        names = ("logged",) if settings.answers else settings.pipelines
        if len(names) != 1:
            pytest.fail(
                "`pipeline` is a parameter here, one for each pipeline of the run: let the test take it as "
                "an argument, def test_answer(evaluate, pipeline, question), or ask for the fixture of one "
                f"pipeline by its name: {', '.join(names)}",
                pytrace=False,
            )
        name = names[0]
    session = begun_session(request.config)
    given = session.questions.logged_pipeline if session.settings.answers else request.getfixturevalue(name)
    if not isinstance(given, Pipeline):
        raise UsageError(
            f"fixture {name!r} gave {type(given).__name__}, which is no pipeline: return "
            "pipeline_from(function), pipeline_from_query_engine(engine), or an object with a name, a "
            "fingerprint and an async answer(question)"
        )
    return given


@pytest.fixture
def evals_repeat(request: pytest.FixtureRequest) -> int:
    """Which repeat of its question this test is, from 0."""
    return int(getattr(request, "param", 0))


@pytest.fixture
def evaluate_retrieval() -> EvaluateRetrieval:
    """Have a pipeline retrieve for a question, and score what it finds by the question's sources.

    Write `await evaluate_retrieval(pipeline, question)`, or `.result()` as with `evaluate`. No language model
    is loaded for a bundled pipeline, or any other that can search without one.
    """
    from rag_evals.evals.plugin.evaluate_fixture import EvaluateRetrieval

    return EvaluateRetrieval()


@pytest.fixture
def evaluate(judge: Judge) -> Evaluate:
    """Ask a pipeline a question and judge the answer.

    Write `await evaluate(pipeline, question)`; `evaluate(pipeline, question).result()` in a plain test.
    """
    # Nothing else is among the arguments: pytest makes a new `request` for each fixture of a test that takes
    # one, twice, at a tenth of what a bare test costs. The test comes with the hook above.
    from rag_evals.evals.plugin.evaluate_fixture import Evaluate

    return Evaluate(judge)
