"""The ensemble: means of several judges, how far they differ, and whose evidence is shown."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.cli.cache import differences
from rag_evals.evals.engine.cache import Maker
from rag_evals.evals.judges.ensemble import EnsembleJudge
from rag_evals.evals.judges.judge import Judge
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.evals.testing import FakeJudge
from rag_evals.rag.answer import Answer, Tokens
from rag_evals.rag.profile import Profile

QUESTION = Question("experts", "How many experts?")
ANSWER = Answer("Two experts.")


class Telling:
    """A judge that gives whole scores, seconds and tokens."""

    def __init__(
        self,
        name: str,
        *scores: Score,
        seconds: float = 1.5,
        tokens: Tokens = Tokens(),
        profile: Profile | None = None,
    ) -> None:
        self.name = self.fingerprint = name
        self.profile = profile or Profile(settings={"metrics": ("faithfulness",)})
        self._judgement = Judgement(scores, seconds, tokens)

    async def score(self, question: Question, answer: Answer) -> Judgement:
        return self._judgement


def claimed(value: float, text: str = "Two experts.", **more) -> Score:
    return Score(
        "faithfulness",
        value,
        evidence=f'"{text}" is not supported',
        least=value,
        claims=(ClaimScore(text, value),),
        **more,
    )


async def judged(*judges: Judge) -> Judgement:
    return await EnsembleJudge(judges).score(QUESTION, ANSWER)


async def test_the_mean_of_those_that_have_the_metric():
    """Each metric is the mean over the judges that score it; one alone has no spread."""
    one = FakeJudge({"faithfulness": 0.9, "relevancy": 0.6}, name="a")
    two = FakeJudge({"faithfulness": 0.7, "mine": 0.2}, name="b")
    assert (await judged(one, two)).scores == (
        Score("faithfulness", pytest.approx(0.8), spread=pytest.approx(0.2)),
        Score("relevancy", 0.6),
        Score("mine", 0.2),
    )


async def test_claims_and_evidence_are_those_of_the_lowest():
    """The judge that complains most is the one that is quoted, with how far they differ when it is far."""
    one, two = Telling("a", claimed(0.91, "A.")), Telling("b", claimed(0.6, "B."))
    (score,) = (await judged(one, two)).scores
    assert (score.value, score.least, score.spread) == pytest.approx((0.755, 0.6, 0.31))
    assert score.claims == (ClaimScore("B.", 0.6),)
    assert score.evidence == '"B." is not supported (judges differ by 0.31)'


async def test_of_equals_the_first_is_quoted():
    """Judges with the same score: the first one's claims."""
    (score,) = (await judged(Telling("a", claimed(0.5, "A.")), Telling("b", claimed(0.5, "B.")))).scores
    assert (score.claims, score.spread) == ((ClaimScore("A.", 0.5),), 0.0)
    assert score.evidence == '"A." is not supported'


@pytest.mark.parametrize(("other", "said"), [(0.6, " (judges differ by 0.30)"), (0.61, "")])
async def test_a_spread_of_three_tenths_is_said(other, said):
    """From 0.30 on, as it is shown, the evidence says that the judges differ."""
    (score,) = (await judged(Telling("a", claimed(0.9)), Telling("b", claimed(other)))).scores
    assert score.evidence == f'"Two experts." is not supported{said}'


async def test_a_spread_without_evidence_is_said_as_well():
    """Where the lowest judge quotes nothing, the difference still shows."""
    judges = FakeJudge({"mine": 0.9}, name="a"), FakeJudge({"mine": 0.1}, name="b")
    assert (await judged(*judges)).scores[0].evidence == "judges differ by 0.80"


async def test_a_judge_without_a_verdict_is_left_out():
    """One verdict is enough for a value; it never counts as 0."""
    judges = FakeJudge({"mine": None}, name="a"), FakeJudge({"mine": 0.7}, name="b")
    assert (await judged(*judges)).scores == (Score("mine", 0.7),)


async def test_no_verdict_at_all_gives_every_reason():
    """Without any verdict the score is unscored, and each judge's reason stands with its name."""
    judges = FakeJudge({"mine": None}, name="a"), FakeJudge({"mine": None}, name="b")
    reason = "a: the fake judge gives no verdict; b: the fake judge gives no verdict"
    assert (await judged(*judges)).scores == (Score("mine", None, reason=reason),)


async def test_judges_of_one_name_are_all_counted():
    """Two judges that differ but share a name, by another card say, are still two."""
    judges = FakeJudge({"mine": 0.2}, name="a"), FakeJudge({"mine": 0.4}, name="a")
    assert (await judged(*judges)).scores[0].value == pytest.approx(0.3)


async def test_seconds_and_tokens_are_summed():
    """What the judges took together."""
    one = Telling("a", claimed(0.5), seconds=1.5, tokens=Tokens(5, 1, 0))
    two = Telling("b", claimed(0.5), seconds=2.0, tokens=Tokens(7, 0, 2))
    judgement = await judged(one, two)
    assert (judgement.seconds, judgement.tokens) == (3.5, Tokens(12, 1, 2))


async def test_graded_only_if_all_are():
    """A mean with a verdict that was read from a word is not graded; a missing one does not count."""
    ungraded = Telling("b", claimed(1.0, graded=False))
    assert not (await judged(Telling("a", claimed(0.5)), ungraded)).scores[0].graded
    silent = Telling("c", Score("faithfulness", None, reason="none", graded=False))
    assert (await judged(Telling("a", claimed(0.5)), silent)).scores[0].graded


async def test_judges_run_one_after_the_other():
    """The next judge is asked when the one before has answered."""
    log = []

    class Logging(FakeJudge):
        async def score(self, question, answer):
            log.append(f"{self.name} begins")
            judgement = await super().score(question, answer)
            log.append(f"{self.name} ends")
            return judgement

    await judged(Logging({"mine": 1.0}, name="a"), Logging({"mine": 1.0}, name="b"))
    assert log == ["a begins", "a ends", "b begins", "b ends"]


def test_name_identity_and_settings():
    """The ensemble is its members, in their order."""
    one, two = Telling("a"), FakeJudge({}, name="b")
    judge = EnsembleJudge([one, two])
    assert isinstance(judge, Judge)
    assert judge.name == "ensemble (a, b)"
    assert judge.fingerprint == EnsembleJudge([one, two]).fingerprint
    assert judge.fingerprint != EnsembleJudge([two, one]).fingerprint
    assert judge.profile.thresholds == {}
    assert judge.profile.settings == {
        "members": [
            {"name": "a", "fingerprint": "a", "metrics": ("faithfulness",)},
            {"name": "b", "fingerprint": two.fingerprint},
        ]
    }


def test_what_its_judges_say_of_themselves():
    """As many at once as one of them takes; final and cacheable only where all are; each with its model."""
    one = Profile(
        most_at_once=4,
        priced_as="gpt",
        expected=Tokens(evaluated=365),
        thresholds={"faithfulness": 0.7},
        identity={"llm": "x"},
        unscored_is_final=True,
    )
    two = Profile(is_cacheable=False)
    profile = EnsembleJudge([Telling("a", profile=one), Telling("b", profile=two)]).profile
    assert (profile.most_at_once, profile.unscored_is_final, profile.is_cacheable) == (4, False, False)
    assert (profile.members, profile.parts, profile.thresholds) == ((one, two), (one, two), {})
    assert profile.identity == {
        "members": [{"name": "a", "llm": "x"}, {"name": "b", "fingerprint": "b"}],
    }
    both = EnsembleJudge([Telling("a", profile=one), Telling("b", profile=one)])
    assert (both.profile.unscored_is_final, both.profile.is_cacheable) == (True, True)
    around = EnsembleJudge([both, Telling("c", profile=two)]).profile
    assert around.members == (one, one, two)


def test_what_changed_in_one_of_its_judges():
    """`cache explain` names the part of the judge that is another."""
    makers = []
    for model in ("small", "large"):
        profile = Profile(identity={"reader": {"llm": model}})
        judge = EnsembleJudge([Telling("a", profile=Profile()), Telling("b", profile=profile)])
        makers.append(Maker(model, judge.name, judge.profile.identity))
    assert differences(*makers) == ["members.1.reader.llm: small -> large"]


async def test_tokens_of_each_judge():
    """Each has a price of its own; the judges of an ensemble in an ensemble are its judges."""
    one = Telling("a", claimed(0.9), tokens=Tokens(1, 2, 3))
    two = Telling("b", claimed(0.9), tokens=Tokens(10, 20, 30))
    assert (await judged(one, two)).members == (Tokens(1, 2, 3), Tokens(10, 20, 30))
    inner = EnsembleJudge([one, two])
    judgement = await judged(inner, Telling("c", claimed(0.9), tokens=Tokens(5, 5, 5)))
    assert judgement.members == (Tokens(1, 2, 3), Tokens(10, 20, 30), Tokens(5, 5, 5))
    assert judgement.tokens == Tokens(16, 27, 38)


@pytest.mark.parametrize(
    ("judges", "message"),
    [
        ([], "an ensemble needs two judges or more, and there is none: add one, or use it alone."),
        (
            [FakeJudge({}, name="a")],
            "an ensemble needs two judges or more, and there is only a: add one, or use it alone.",
        ),
        (
            [FakeJudge({}, name="a"), FakeJudge({}, name="b"), FakeJudge({}, name="a")],
            "an ensemble needs judges that differ, and these are the same: a, a: "
            "leave one out, or give it another model.",
        ),
    ],
)
def test_fewer_than_two_judges_are_refused(judges, message):
    """One judge, or the same one twice, is no ensemble."""
    with pytest.raises(UsageError) as caught:
        EnsembleJudge(judges)
    assert str(caught.value) == message
