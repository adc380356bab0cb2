"""Plans: what the cache has, what the rest takes, and what a run may take."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import date

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.budget import Budget, Plan, cost_of, over_bounds, plan_lines, plan_of
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.engine.evaluate import evaluate
from rag_evals.evals.engine.reuse import ReuseCache
from rag_evals.evals.engine.task import Task
from rag_evals.evals.judges.ensemble import EnsembleJudge
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Judgement, Score
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.llm.local.speeds import Speeds
from rag_evals.rag.llm.prices import Price
from rag_evals.rag.profile import Profile, profile_of

PRICES = {"gpt": Price(2.0, 1.0, 8.0, date(2026, 1, 1), "here")}
METRICS = ("faithfulness", "relevancy")


class Pipeline:
    """Says what it expects, and answers in two seconds and 1,000 tokens."""

    name = "mine"
    profile = Profile(
        expected=Tokens(evaluated=900, generated=100), speeds=lambda: Speeds(100.0, 10.0), priced_as="gpt"
    )

    def __init__(self, fingerprint: str = "1") -> None:
        self.fingerprint = fingerprint

    async def answer(self, question):
        return Answer("Two.", (), {"generate": 2.0}, {"generate": Tokens(evaluated=950, generated=50)})


class Judge:
    """Judges in one second and 300 tokens; free, and expects nothing."""

    name = "judge"
    fingerprint = "judge-1"

    async def score(self, question, answer):
        return Judgement((Score("faithfulness", 0.9),), 1.0, Tokens(evaluated=300))


def tasks(count: int, pipeline: Pipeline | None = None) -> list[Task]:
    pipeline, judge = pipeline or Pipeline(), Judge()
    return [Task(pipeline, Question(f"q{n}", f"{n}?"), judge, METRICS, "mine") for n in range(count)]


@pytest.fixture
def reuse_cache(tmp_path):
    """An empty cache to remember with."""
    cache = Cache(tmp_path / "cache.sqlite")
    yield ReuseCache(cache)
    cache.close()


def make(reuse_cache: ReuseCache, *made: Task) -> None:
    async def run() -> None:
        for task in made:
            await evaluate(task, reuse_cache)

    asyncio.run(run())


def test_nothing_made_yet(reuse_cache):
    """Tokens are the expected ones, seconds by the measured speeds; one without leaves the totals open."""
    plan = plan_of(tasks(3), reuse_cache, PRICES)
    assert plan == Plan("mine", 3, 0, 0, None, None, None)
    expecting = Judge()
    expecting.profile = Profile(expected=Tokens(evaluated=500), speeds=Pipeline.profile.speeds)
    given = [replace(task, judge=expecting) for task in tasks(3)]
    plan = plan_of(given, reuse_cache, {})
    assert (plan.tokens, plan.seconds, plan.usd) == (3 * 1500, 3 * (9.0 + 10.0 + 5.0), None)


def test_what_was_made_tells_what_the_rest_takes(reuse_cache):
    """Two of five were made: the other three take what those took, not what was expected."""
    make(reuse_cache, *tasks(2))
    plan = plan_of(tasks(5), reuse_cache, PRICES)
    assert (plan.answers, plan.judgements) == (2, 2)
    assert (plan.tokens, plan.seconds) == (3 * 1300, 3 * 3.0)


def test_several_at_once_take_less_time(reuse_cache):
    """Seconds are shared by the places, tokens are not."""
    make(reuse_cache, *tasks(2))
    plan = plan_of(tasks(6), reuse_cache, PRICES, places=4)
    assert (plan.tokens, plan.seconds) == (4 * 1300, 3.0)


def test_another_version_of_the_pipeline_is_told_by_the_one_before(reuse_cache):
    """A changed pipeline has made nothing, but its predecessor of that name tells what it takes."""
    make(reuse_cache, *tasks(2))
    plan = plan_of(tasks(2, Pipeline("2")), reuse_cache, PRICES)
    assert (plan.answers, plan.judgements, plan.seconds) == (0, 0, 6.0)


def test_all_made(reuse_cache):
    """Nothing is left to make: nothing to take."""
    make(reuse_cache, *tasks(2))
    assert plan_of(tasks(2), reuse_cache, PRICES) == Plan("mine", 2, 2, 2, 0, 0, 0)


def test_cost():
    """Read, found and written tokens each have their price; without a name or a price there is no cost."""
    tokens = Tokens(evaluated=1_000_000, reused=1_000_000, generated=500_000)
    assert cost_of(Pipeline.profile, [tokens], PRICES) == 2.0 + 1.0 + 4.0
    assert cost_of(profile_of(Judge()), [tokens], PRICES) is None
    assert cost_of(Pipeline.profile, [tokens], {}) is None


@pytest.mark.parametrize(
    ("plan", "line"),
    [
        (Plan("mine", 1200, 1200, 1200, 0, 0, 0), "plan: mine: all 1,200 evaluations were made before"),
        (
            Plan("mine", 28, 14, 4, 123_456, 754.0, 1.234),
            "plan: mine: 14 of 28 answers and 24 judgements to make, about 120,000 tokens, 13 min, $1.23",
        ),
        (
            Plan("mine", 2, 0, 0, 7, 45.0, None),
            "plan: mine: 2 of 2 answers and 2 judgements to make, about 7 tokens, 45 s",
        ),
        (Plan("mine", 2, 0, 0, None, None, None), "plan: mine: 2 of 2 answers and 2 judgements to make"),
    ],
)
def test_line(plan, line):
    """What is known is said, what is not is left out."""
    assert plan_lines([plan]) == [line]


def test_bounds():
    """Pipelines count together; what nobody knows does not count; on the bound is within."""
    plans = [Plan("a", 1, 0, 0, 1, 60.0, 0.5), Plan("b", 1, 0, 0, None, 60.0, None)]
    assert over_bounds(plans, max_minutes=2, max_usd=0.5) is None
    assert over_bounds(plans, max_minutes=1.5, max_usd=None) == (
        "this run would take about 2.0 min, more than evals_max_minutes = 1.5: raise it, or evaluate fewer "
        "questions (-k, --evals-shard); rag-evals plan shows what takes long"
    )
    assert over_bounds(plans, max_minutes=None, max_usd=0.25) == (
        "this run would cost about $0.50, more than evals_max_cost = 0.25: raise it, or evaluate fewer "
        "questions (-k, --evals-shard); rag-evals plan shows what costs"
    )


def budget(reuse_cache: ReuseCache, now: list[float], **bounds: float) -> Budget:
    return Budget(reuse_cache, PRICES, clock=lambda: now[0], **bounds)


def test_a_plan_beyond_the_bounds_is_refused(reuse_cache):
    """The second pipeline counts with the first."""
    make(reuse_cache, *tasks(1))
    held = budget(reuse_cache, [0.0], max_minutes=0.15)
    held.plan(tasks(3))
    with pytest.raises(UsageError, match=r"would take about 1\.1 min"):
        held.plan([replace(task, name="other", pipeline=Pipeline("2")) for task in tasks(3)])


def test_a_run_stops_when_its_minutes_are_over(reuse_cache):
    """The clock begins with the first evaluation."""
    now = [1000.0]
    held = budget(reuse_cache, now, max_minutes=2)
    assert held.exceeded() is None
    now[0] += 120
    assert held.exceeded() is None
    now[0] += 1
    assert held.exceeded() == (
        "evals_max_minutes = 2 are over after 0 evaluations: another run goes on from here"
    )


def evaluation(*cached: str) -> Evaluation:
    answer = Answer("Two.", tokens={"generate": Tokens(evaluated=500_000)})
    tokens = {**answer.tokens, "judge": Tokens(evaluated=100)}
    return Evaluation(Question("a", "?"), "mine", answer, (), {}, tokens=tokens, cached=cached)


def test_a_run_stops_when_its_money_is_spent(reuse_cache):
    """What was made before costs nothing; what has no price has no cost."""
    held = budget(reuse_cache, [0.0], max_usd=1.5)
    (task,) = tasks(1)
    assert held.count(task, evaluation("answer", "scores")) is None
    assert held.count(task, evaluation()) == 1.0
    assert held.exceeded() is None
    assert held.count(task, evaluation()) == 1.0
    assert (
        held.exceeded() == "evals_max_cost = 1.5 is spent after 3 evaluations: another run goes on from here"
    )


# --- several judges ---


class Priced(Judge):
    """A judge on a server's model: 400,000 tokens read and 100,000 written a judgement."""

    def __init__(self, name: str, model: str | None, **said) -> None:
        self.name = self.fingerprint = name
        self.profile = Profile(priced_as=model, identity={"llm": name}, **said)

    async def score(self, question, answer):
        tokens = Tokens(evaluated=400_000, generated=100_000)
        return Judgement((Score("faithfulness", 0.9),), 1.0, tokens)


TWO_PRICES = {**PRICES, "mini": Price(0.5, 0.25, 1.0, date(2026, 1, 1), "here")}
# What one judgement costs by either.
BY_GPT, BY_MINI = 0.8 + 0.8, 0.2 + 0.1


def judged_by(*judges: Judge) -> Task:
    (task,) = tasks(1)
    return replace(task, judge=EnsembleJudge(judges))


def test_the_minutes_of_a_run_end(reuse_cache):
    """They are counted from the first evaluation on; without a bound there is no end."""
    held = Budget(reuse_cache, {}, max_minutes=2, clock=lambda: 100.0)
    assert held.ends is None
    held.exceeded()
    assert held.ends == 220
    unbounded = Budget(reuse_cache, {}, clock=lambda: 100.0)
    unbounded.exceeded()
    assert unbounded.ends is None


def test_each_judge_of_an_ensemble_has_its_price(reuse_cache):
    """A judgement costs what its judges do, each at its own price; a local one costs nothing."""
    task = judged_by(Priced("a", "gpt"), Priced("b", "mini"), Priced("c", None))
    held = Budget(reuse_cache, TWO_PRICES, max_usd=3.0, clock=lambda: 0.0)
    made = replace(asyncio.run(evaluate(task, reuse_cache)), cached=("answer",))
    assert made.tokens["judge"] == Tokens(evaluated=1_200_000, generated=300_000)
    assert held.count(task, made) == pytest.approx(BY_GPT + BY_MINI)
    assert held.exceeded() is None
    held.count(task, made)
    assert held.exceeded() == (
        "evals_max_cost = 3 is spent after 2 evaluations: another run goes on from here"
    )


def test_each_judging_by_an_ensemble_costs(reuse_cache):
    """A second judging of an answer is paid as the first."""
    task = replace(judged_by(Priced("a", "gpt"), Priced("b", "mini")), judgings=2)
    held = Budget(reuse_cache, TWO_PRICES, max_usd=3.0, clock=lambda: 0.0)
    made = replace(asyncio.run(evaluate(task, reuse_cache)), cached=("answer",))
    assert held.count(task, made) == pytest.approx(2 * (BY_GPT + BY_MINI))


def test_the_plan_counts_each_judge_of_an_ensemble(reuse_cache):
    """Before anything was made by what they expect, then by what each of them took."""
    expecting = {"expected": Tokens(evaluated=1_000_000), "speeds": Pipeline.profile.speeds}
    task = judged_by(Priced("a", "gpt", **expecting), Priced("b", "mini", **expecting))
    others = [replace(task, question=Question(f"o{n}", f"Other {n}?")) for n in range(3)]
    plan = plan_of(others, reuse_cache, TWO_PRICES)
    assert plan.usd == pytest.approx(3 * (900 * 2.0 + 100 * 8.0) / 1_000_000 + 3 * (2.0 + 0.5))
    assert (plan.tokens, plan.seconds) == (3 * 2_001_000, 3 * (9.0 + 10.0 + 20_000.0))
    make(reuse_cache, task)
    plan = plan_of(others, reuse_cache, TWO_PRICES)
    assert plan.usd == pytest.approx(3 * (950 * 2.0 + 50 * 8.0) / 1_000_000 + 3 * (BY_GPT + BY_MINI))
    assert (plan.tokens, plan.seconds) == (3 * 1_001_000, 3 * (2.0 + 2.0))
    held = Budget(reuse_cache, TWO_PRICES, max_usd=5.0)
    with pytest.raises(
        UsageError, match=r"^this run would cost about \$5\.71, more than evals_max_cost = 5: "
    ):
        held.plan(others)


def test_a_judge_without_a_price_in_an_ensemble(reuse_cache):
    """What a local judge takes is not known before: tokens are those of the others, seconds are left open."""
    task = judged_by(Priced("a", "gpt", expected=Tokens(evaluated=1_000_000)), Priced("b", None))
    plan = plan_of([task], reuse_cache, TWO_PRICES)
    assert plan.usd == pytest.approx((900 * 2.0 + 100 * 8.0) / 1_000_000 + 2.0)
    assert (plan.tokens, plan.seconds) == (1_001_000, None)


def test_a_judgement_from_before_the_judges_were_counted_apart():
    """Its tokens are one sum: they cost at most what the dearest judge takes for them."""
    profile = profile_of(judged_by(Priced("a", "gpt"), Priced("b", "mini")).judge)
    assert cost_of(profile, [Tokens(evaluated=1_000_000)], TWO_PRICES) == 2.0
    assert cost_of(profile, [Tokens(evaluated=1_000_000)], {}) is None


def test_what_the_judges_of_an_ensemble_took_comes_back(reuse_cache):
    """The cache keeps the tokens of each judge of several; of one alone it keeps what it always did."""
    task = judged_by(Priced("a", "gpt"), Priced("b", "mini"))
    make(reuse_cache, task, replace(task, judge=Priced("alone", "gpt")))
    each = Tokens(evaluated=400_000, generated=100_000)
    assert reuse_cache.examples("scores", task.judge.name) == [((each, each), 2.0)]
    assert reuse_cache.examples("scores", "alone") == [((each,), 1.0)]
    kept = [reuse_cache.cache.recall("scores", [entry.key]) for entry in reuse_cache.cache.entries()]
    texts = [data.decode() for found in kept for data in found.values()]
    assert sorted("members" in text for text in texts) == [False, True]


def test_what_is_done_once_is_planned_once():
    """Whatever pipelines share it: a line behind theirs."""
    plans = [replace(Plan(name, 1, 1, 1, 0, 0, 0), once=("judge: 20 verdicts",)) for name in "ab"]
    assert plan_lines(plans) == [
        "plan: a: all 1 evaluations were made before",
        "plan: b: all 1 evaluations were made before",
        "plan: judge: 20 verdicts",
    ]
