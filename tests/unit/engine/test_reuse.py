"""Nothing twice: what makes two answers or judgements the same, and how an old one is put to use now."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.engine.cache import Cache
from rag_evals.evals.engine.reuse import ANSWER_FROM_CONTEXTS, ReuseCache, scores_key
from rag_evals.evals.engine.task import Task
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.evaluation import ANSWER, SCORES
from rag_evals.evals.runs.score import ClaimScore, Judgement, Score
from rag_evals.rag.answer import Answer, Context, Retrieval, Span, Tokens
from rag_evals.rag.errors import ModelError
from rag_evals.rag.profile import Profile

QUESTION = Question("q1", "How many experts?", reference="Two.")
ONE = Context("Two of eight experts.", "a.pdf", 3, 100, 121, 0.5)
TWO = Context("The tide rises.", "b.md", None, 7, 22, 0.25)
ANSWER_OF_TWO = Answer(
    "Two.", (ONE, TWO), {"retrieve": 0.5, "generate": 2.0}, {"generate": Tokens(100, 20, 5)}, 1, True
)
METRICS = ("faithfulness", "relevancy", "refusal")


@dataclass
class Plain:
    """A pipeline that counts what it is asked."""

    said: object = ANSWER_OF_TWO
    name: str = "plain"
    fingerprint: str = "p1"
    profile: Profile = Profile(identity={"knobs": {"top_k": 8}})  # noqa: RUF009 - it is frozen
    asked: list[str] = field(default_factory=list)

    async def answer(self, question):
        self.asked.append(question)
        if isinstance(self.said, Exception):
            raise self.said
        return self.said


@dataclass
class InTwoSteps(Plain):
    """A pipeline that retrieves first."""

    found: tuple[Context, ...] = (ONE, TWO)
    writing: str = "w1"
    written: int = 0
    candidates: tuple[Span, ...] = ()

    async def retrieve(self, question):
        self.asked.append(question)
        return Retrieval(self.found, {"retrieve": 0.1}, stages={"candidates": self.candidates})

    async def write(self, question, retrieval):
        self.written += 1
        return Answer("Two.", retrieval.contexts, retrieval.seconds)


@dataclass
class Counting:
    """A judge that counts what it judges."""

    said: object = Judgement((Score("faithfulness", 0.9), Score("relevancy", 0.8)), 1.5, Tokens(10, 2, 1))
    name: str = "counting"
    fingerprint: str = "j1"
    judged: int = 0
    profile: Profile = Profile(unscored_is_final=True)  # noqa: RUF009 - it is frozen

    async def score(self, question, answer):
        self.judged += 1
        return self.said


@pytest.fixture
def cache(tmp_path) -> Iterator[Cache]:
    cache = Cache(tmp_path / "cache.sqlite")
    yield cache
    cache.close()


def task(pipeline, judge=None, question=QUESTION, **changes) -> Task:
    return Task(pipeline, question, judge or Counting(), METRICS, "named", **changes)


def answered(cache, pipeline, **changes) -> tuple[Answer, bool]:
    made = asyncio.run(ReuseCache(cache).answer(task(pipeline, **changes)))
    assert made.key == task(pipeline, **changes).answer_key
    return made.value, made.is_cached


def judged(cache, judge, answer=ANSWER_OF_TWO, **changes) -> tuple[Judgement, bool]:
    made = asyncio.run(ReuseCache(cache).judgement(task(Plain(), judge, **changes), answer))
    assert made.key == scores_key(task(Plain(), judge, **changes), answer)
    return made.value, made.is_cached


# --- answers ---


def test_an_answer_comes_back_whole(cache):
    """Text, passages with their places, seconds and tokens, and whether it was cut."""
    pipeline = Plain(replace(ANSWER_OF_TWO, finished=False))
    assert answered(cache, pipeline) == (replace(ANSWER_OF_TWO, finished=False), False)
    assert answered(cache, pipeline) == (replace(ANSWER_OF_TWO, finished=False), True)
    assert pipeline.asked == ["How many experts?"]


@pytest.mark.parametrize(
    "changes",
    [
        {"pipeline": Plain(fingerprint="p2")},
        {"question": replace(QUESTION, question="How many are there?")},
        {"repeat": 1},
    ],
    ids=["fingerprint", "question", "repeat"],
)
def test_what_makes_it_another_answer(changes):
    """Whatever changes the answer changes its key."""
    assert replace(task(Plain()), **changes).answer_key != task(Plain()).answer_key


@pytest.mark.parametrize(
    "changes",
    [
        {"question": Question("q2", QUESTION.question, reference="Three.", tags=("x",))},
        {"judge": Counting(fingerprint="j2")},
        {"metrics": ("relevancy",)},
        {"name": "other"},
    ],
    ids=["id, reference and tags", "judge", "metrics", "name"],
)
def test_what_makes_it_no_other_answer(changes):
    """What the pipeline never sees does not ask it again."""
    assert replace(task(Plain()), **changes).answer_key == task(Plain()).answer_key


def test_what_raised_is_not_kept(cache):
    """Nor is anything but an Answer."""
    for said in (ValueError("boom"), "a text", None):
        with pytest.raises((ValueError, TypeError)):
            answered(cache, Plain(said))
    assert cache.entries() == []


def test_what_has_no_form_is_not_kept(cache):
    """A number that JSON cannot write makes an answer that is there once, and no trouble here."""
    odd = replace(ANSWER_OF_TWO, contexts=(replace(ONE, score=float("nan")),))
    answer, is_old = answered(cache, Plain(odd))
    assert (answer.text, is_old) == ("Two.", False)
    assert cache.entries() == []


def test_half_characters_come_back(cache):
    """Half of a surrogate pair in an answer, a document's name, an identity or an id."""
    answer = Answer("Two \ud800.", (replace(ONE, document="caf\udce9.md"),))
    pipeline = Plain(answer, profile=Profile(identity={"documents": {"caf\udce9.md": "a"}}))
    question = Question("q\ud800", "How many \ud800?")
    assert answered(cache, pipeline, question=question) == (answer, False)
    assert answered(cache, pipeline, question=question) == (answer, True)


def test_what_says_no(cache):
    """A pipeline or a judge that is not cacheable is asked each time, and nothing of it is kept."""
    pipeline, judge = Plain(), Counting()
    pipeline.profile = judge.profile = Profile(is_cacheable=False)
    for _ in range(2):
        assert not answered(cache, pipeline)[1]
        assert not judged(cache, judge)[1]
    assert (len(pipeline.asked), judge.judged) == (2, 2)
    assert cache.entries() == []


def test_without_a_cache():
    """Everything is made, nothing is wrong."""
    pipeline, judge = Plain(), Counting()
    assert answered(None, pipeline) == (ANSWER_OF_TWO, False)
    assert judged(None, judge) == (judge.said, False)
    assert ReuseCache().peek(task(pipeline)) == (False, False)
    assert ReuseCache().examples(ANSWER, "named") == []


def test_what_is_said_of_the_maker(cache):
    """Items know the question, the pipeline by the name it has in reports, and the judge by its own."""
    answered(cache, Plain())
    judged(cache, Counting())
    answer, scores = cache.entries("q1")
    assert answer.maker is not None
    assert scores.maker is not None
    assert (answer.kind, answer.maker.name, answer.maker.identity) == (
        ANSWER,
        "named",
        {"knobs": {"top_k": 8}},
    )
    assert (scores.kind, scores.maker.name, scores.maker.identity) == (SCORES, "counting", {})


@pytest.mark.parametrize("identity", [{"path": Path("x")}, {1: 2, "a": 3}, None, ["list"]])
def test_identities_of_any_kind(cache, identity):
    """A user's own pipeline says what it likes: its answers are kept."""
    pipeline = Plain(profile=Profile(identity=identity))
    answered(cache, pipeline)
    assert answered(cache, pipeline)[1]


# --- pipelines that retrieve first ---


def test_an_answer_outlives_other_documents(cache):
    """With the same passages nothing is written anew; the index that changed is asked once."""
    first = InTwoSteps()
    assert answered(cache, first) == (Answer("Two.", (ONE, TWO), {"retrieve": 0.1}), False)
    second = InTwoSteps(fingerprint="p2")
    assert answered(cache, second)[1]
    assert (second.asked, second.written) == ([QUESTION.question], 0)
    assert answered(cache, second)[1]
    assert len(second.asked) == 1
    assert {entry.kind for entry in cache.entries()} == {ANSWER, ANSWER_FROM_CONTEXTS}


def test_passages_are_where_they_are_now(cache):
    """A passage that moved within its document, or to another page or score, is shown where it is now."""
    answered(cache, InTwoSteps())
    spans = (Span("named.pdf", 1, 0, 9),)
    moved = replace(ONE, page=4, start=300, end=321, score=0.4)
    answer, is_old = answered(cache, InTwoSteps(fingerprint="p2", found=(moved, TWO), candidates=spans))
    assert (answer.contexts, is_old) == ((moved, TWO), True)
    assert answer.candidates == spans


@pytest.mark.parametrize(
    "changes",
    [
        {"found": (TWO, ONE)},
        {"found": (ONE,)},
        {"found": (replace(ONE, text="Two of nine."), TWO)},
        {"writing": "w2"},
    ],
    ids=["order", "fewer", "text", "writing"],
)
def test_what_is_written_anew(cache, changes):
    """Other passages, another order of them or another way to write is another answer."""
    answered(cache, InTwoSteps())
    pipeline = InTwoSteps(fingerprint="p2", **changes)
    assert not answered(cache, pipeline)[1]
    assert pipeline.written == 1


def test_one_text_in_two_documents(cache):
    """Each of two passages with the same words stays with its own document."""
    twin = replace(ONE, document="c.pdf", page=9)
    answered(cache, InTwoSteps(found=(ONE, twin)))
    answer, is_old = answered(cache, InTwoSteps(fingerprint="p2", found=(ONE, twin)))
    assert (answer.contexts, is_old) == ((ONE, twin), True)


def test_passages_that_writing_changed(cache):
    """A pipeline that cuts its passages to fit shows them as it cut them, in the next run as well."""

    class Cutting(InTwoSteps):
        async def write(self, question, retrieval):
            return Answer("Two.", tuple(replace(c, text=c.text[:5]) for c in retrieval.contexts))

    first, _ = answered(cache, Cutting())
    again, is_old = answered(cache, Cutting(fingerprint="p2"))
    assert ([c.text for c in again.contexts], is_old) == ([c.text for c in first.contexts], True)


def test_what_was_reused_was_not_made_now(tmp_path):
    """The time at which an answer was written does not change when it is reused."""
    now = [1000.0]
    cache = Cache(tmp_path / "cache.sqlite", clock=lambda: now[0])
    answered(cache, InTwoSteps())
    now[0] = 2000.0
    answered(cache, InTwoSteps(fingerprint="p2"))
    created = {entry.kind: entry.created for entry in cache.entries() if entry.kind == ANSWER_FROM_CONTEXTS}
    cache.close()
    assert created == {ANSWER_FROM_CONTEXTS: 1000.0}


# --- judgements ---


PART = Context("eight experts", "a.pdf", 3, 107, 120, 0.5)
WITH_EVIDENCE = Judgement(
    (
        Score("faithfulness", 0.9, least=0.9, mean=0.9, claims=(ClaimScore("Two.", 0.9, 0, 4, PART),)),
        Score("relevancy", None, reason="no verdict", claims=(ClaimScore("x", None, reason="none"),)),
    ),
    1.5,
    Tokens(10, 2, 1),
)


def test_what_has_no_verdict_is_judged_again_unless_the_judge_is_sure(cache):
    """A user's judge may have been refused by its server: only one that says so leaves it at that."""
    unscored = Judgement((Score("faithfulness", None, reason="rate limited"),))
    unsure = Counting(unscored, profile=Profile())
    assert [judged(cache, unsure)[1] for _ in range(2)] == [False, False]
    sure = Counting(unscored, fingerprint="j2")
    assert [judged(cache, sure)[1] for _ in range(2)] == [False, True]


def test_a_judgement_comes_back_whole(cache):
    """Scores with claims and evidence, seconds and tokens."""
    judge = Counting(WITH_EVIDENCE)
    assert judged(cache, judge) == (WITH_EVIDENCE, False)
    assert judged(cache, judge) == (WITH_EVIDENCE, True)
    assert judge.judged == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"judge": Counting(fingerprint="j2")},
        {"question": replace(QUESTION, question="How many?")},
        {"question": replace(QUESTION, reference="Three.")},
        {"question": replace(QUESTION, answerable=False)},
        {"metrics": ("faithfulness",)},
        {"repeat": 1},
    ],
    ids=["judge", "question", "reference", "answerable", "metrics", "repeat"],
)
def test_what_makes_it_another_judgement(changes):
    """Whatever the judge sees or is asked changes the key."""
    one = task(Plain())
    assert scores_key(replace(one, **changes), ANSWER_OF_TWO) != scores_key(one, ANSWER_OF_TWO)


@pytest.mark.parametrize(
    "answer",
    [
        replace(ANSWER_OF_TWO, text="Three."),
        replace(ANSWER_OF_TWO, finished=False),
        replace(ANSWER_OF_TWO, contexts=(TWO, ONE)),
        replace(ANSWER_OF_TWO, contexts=(ONE, replace(TWO, text="The tide falls."))),
        replace(ANSWER_OF_TWO, contexts=(replace(ONE, page=4), TWO)),
    ],
    ids=["text", "cut", "order", "passage", "page"],
)
def test_another_answer_is_judged_anew(answer):
    """Whatever of the answer is judged, or said of it, changes the key."""
    one = task(Plain())
    assert scores_key(one, answer) != scores_key(one, ANSWER_OF_TWO)


@pytest.mark.parametrize(
    "changes",
    [{"pipeline": Plain(fingerprint="p2")}, {"question": replace(QUESTION, id="q2")}, {"name": "other"}],
    ids=["pipeline", "id", "name"],
)
def test_what_makes_it_no_other_judgement(changes):
    """Two pipelines that say the same with the same passages are judged once."""
    one = task(Plain())
    assert scores_key(replace(one, **changes), ANSWER_OF_TWO) == scores_key(one, ANSWER_OF_TWO)
    slower = replace(ANSWER_OF_TWO, seconds={"generate": 9.0}, omitted=7)
    assert scores_key(one, slower) == scores_key(one, ANSWER_OF_TWO)


def test_evidence_points_into_the_passages_of_now(cache):
    """A passage that moved takes the evidence in it along; what is said stays as it was."""
    judge = Counting(WITH_EVIDENCE)
    judged(cache, judge)
    moved = replace(ANSWER_OF_TWO, contexts=(replace(ONE, start=500, end=521, score=0.1), TWO))
    judgement, is_old = judged(cache, judge, moved)
    assert is_old
    assert judgement.scores[0].claims[0].closest == replace(PART, start=507, end=520, score=0.1)
    assert judgement.scores[1:] == WITH_EVIDENCE.scores[1:]


def test_no_judgement_is_not_kept(cache):
    """Anything but a Judgement is the judge's error, each time anew."""
    judge = Counting("good")
    for _ in range(2):
        with pytest.raises(TypeError, match=r"^score\(\) gave str, not a Judgement$"):
            judged(cache, judge)
    judge.said = Judgement((Score("faithfulness", float("nan")),))
    judged(cache, judge)
    assert cache.entries() == []


# --- items of other times ---


@pytest.mark.parametrize("damaged", [b"{}", b"[]", b'{"text": 3}', b"no JSON"])
def test_an_item_of_another_form_is_absent(cache, damaged):
    """What another version of the project kept is made anew, not the question's error for ever."""
    pipeline, judge = Plain(), Counting()
    answered(cache, pipeline)
    judged(cache, judge)
    for entry in cache.entries():
        cache.keep(entry.kind, {entry.key: damaged})
    assert answered(cache, pipeline) == (ANSWER_OF_TWO, False)
    assert judged(cache, judge) == (judge.said, False)
    assert answered(cache, pipeline)[1]


def test_fields_of_later_versions_are_passed_over(cache):
    """What a later version adds to an item does no harm."""
    pipeline = Plain()
    answered(cache, pipeline)
    (entry,) = cache.entries()
    item = json.loads(cache.recall(ANSWER, [entry.key])[entry.key])
    item["contexts"][0]["later"] = item["later"] = 1
    cache.keep(ANSWER, {entry.key: json.dumps(item).encode()})
    assert answered(cache, pipeline) == (ANSWER_OF_TWO, True)


# --- plans ---


def test_peeking(cache):
    """It says what is there and makes nothing."""
    pipeline, judge = Plain(), Counting()
    reuse_cache, one = ReuseCache(cache), task(pipeline, judge)
    assert reuse_cache.peek(one) == (False, False)
    asyncio.run(reuse_cache.answer(one))
    assert reuse_cache.peek(one) == (True, False)
    asyncio.run(reuse_cache.judgement(one, ANSWER_OF_TWO))
    assert reuse_cache.peek(one) == (True, True)
    assert (len(pipeline.asked), judge.judged) == (1, 1)


def test_examples(cache):
    """Tokens and seconds of what was made lately, answers by the pipeline's name in reports."""
    answered(cache, Plain())
    judged(cache, Counting())
    reuse_cache = ReuseCache(cache)
    assert reuse_cache.examples(ANSWER, "named") == [((Tokens(100, 20, 5),), 2.5)]
    assert reuse_cache.examples(SCORES, "counting") == [((Tokens(10, 2, 1),), 1.5)]
    assert reuse_cache.examples(ANSWER, "other") == []


# --- loading ---


class Loaded(Plain):
    """A pipeline that loads itself, slowly."""

    loads = 0

    def load(self):
        self.loads += 1
        if isinstance(self.said, ModelError):
            raise self.said


def test_nothing_is_loaded_for_what_is_there(cache):
    """A pipeline is loaded before the first answer that it has to make, once, and not for old ones."""
    first = Loaded()

    async def several():
        reuse_cache = ReuseCache(cache)
        questions = [Question(f"q{n}", f"Question {n}?") for n in range(5)]
        return await asyncio.gather(*(reuse_cache.answer(task(first, question=q)) for q in questions))

    asyncio.run(several())
    assert (first.loads, len(first.asked)) == (1, 5)
    second = Loaded()
    assert answered(cache, second, question=Question("q3", "Question 3?"))[1]
    assert (second.loads, second.asked) == (0, [])


def test_what_cannot_be_loaded_is_wrong_configuration(cache):
    """It ends the session instead of being each question's error."""
    with pytest.raises(UsageError, match=r"^no such model$"):
        answered(cache, Loaded(ModelError("no such model")))


# --- secrets ---

SECRET = "sk-" + "a1B2" * 12
WITH_SECRETS = {
    "an address": replace(ANSWER_OF_TWO, contexts=(Context("Two.", "https://me:hunter2hunter2@host/doc"),)),
    "a text": replace(ANSWER_OF_TWO, text=f"The key is {SECRET}."),
}


@pytest.mark.parametrize(("what", "masks_texts"), [("an address", False), ("a text", True)])
def test_an_answer_with_a_secret_is_not_kept(cache, what, masks_texts):
    """Without the secret it would be another answer, so it is made anew each time."""
    pipeline, reuse_cache = Plain(WITH_SECRETS[what]), ReuseCache(cache, masks_texts=masks_texts)
    for _ in range(2):
        made = asyncio.run(reuse_cache.answer(task(pipeline)))
        assert (made.value, made.is_cached) == (WITH_SECRETS[what], False)
    assert cache.entries() == []


def test_a_text_is_kept_as_it_is(cache):
    """Unless it is to be masked, what the answer says is the user's own."""
    pipeline = Plain(WITH_SECRETS["a text"])
    assert [answered(cache, pipeline)[1] for _ in range(2)] == [False, True]


def test_a_judgement_whose_reason_has_a_secret_is_not_kept(cache):
    """What a server says to a request may quote its key."""
    judge = Counting(Judgement((Score("faithfulness", None, reason=f"refused {SECRET}"),)))
    assert [judged(cache, judge)[1] for _ in range(2)] == [False, False]
    assert cache.entries() == []
