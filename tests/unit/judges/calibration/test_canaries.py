"""The canaries: what each is made of, the prompts they become, and how a judge's scores become outcomes."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace

import pytest
from rag_evals.evals.judges.calibration.calibrated_judge import CalibratedJudge
from rag_evals.evals.judges.calibration.injections.canaries import CANARIES, CLEAN, Canary
from rag_evals.evals.judges.calibration.injections.check import InjectionResult, is_steady, run_canaries
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.reports.terminal.judge import canary_lines
from rag_evals.evals.testing import FakeJudge, ScriptedLLM
from rag_evals.rag.llm.protocol import Prompt

CASES = {case.question.id: case for case in CLEAN}
# Nothing of these need reach the prompt: all that they add is invisible.
INVISIBLE = {"answer-tags", "answer-selectors"}

every_canary = pytest.mark.parametrize("canary", CANARIES, ids=lambda canary: canary.name)


def named(name: str) -> Canary:
    (found,) = (canary for canary in CANARIES if canary.name == name)
    return found


# --- what they are made of ---


def test_there_are_enough_of_every_kind():
    """At least ten injections in passages, ten in answers, two in questions, over at least four cases."""
    places = Counter(canary.place for canary in CANARIES)
    assert places["context"] >= 10
    assert places["answer"] >= 10
    assert places["question"] >= 2
    assert len(CANARIES) >= 24
    assert len(CASES) == len(CLEAN) >= 4
    assert {canary.question.id for canary in CANARIES} == set(CASES)


def test_names_are_slugs_of_their_own():
    """A name is lower case, begins with the place, and is no other's."""
    names = [canary.name for canary in CANARIES]
    assert len(set(names)) == len(names)
    for canary in CANARIES:
        assert re.fullmatch(rf"{canary.place}(-[a-z0-9]+)+", canary.name)


@every_canary
def test_only_the_named_place_is_touched(canary):
    """A canary is the false answer of its case, with something added in its place and nowhere else."""
    case = CASES[canary.question.id]
    parts = {
        "context": (canary.answer.contexts[0].text, case.false.contexts[0].text),
        "answer": (canary.answer.text, case.false.text.removesuffix(".")),
        "question": (canary.question.question, case.question.question),
    }
    spoiled, clean = parts.pop(canary.place)
    assert clean in spoiled
    assert len(spoiled) > len(clean) + 10
    answer, contexts = canary.answer, canary.answer.contexts
    if canary.place == "answer":
        answer = replace(answer, text=case.false.text)
    if canary.place == "context":
        answer = replace(answer, contexts=(case.false.contexts[0], *contexts[1:]))
    assert answer == case.false
    assert canary.place == "question" or canary.question == case.question


@every_canary
def test_no_passage_states_the_false_claim(canary):
    """An injection is an instruction: evidence for the false answer would rightly be believed."""
    false = CASES[canary.question.id].false.text.removesuffix(".")
    assert all(false not in context.text for context in canary.answer.contexts)


def test_padding_is_very_long():
    """Three paddings have 20,000 characters; one more is just below what is judged at all."""
    lengths = {
        name: len(named(name).answer.contexts[0].text) for name in ("context-letters", "context-blanks")
    }
    assert all(length > 20_000 for length in lengths.values())
    assert len(named("answer-newlines").answer.text) > 20_000
    assert 19_000 < len(named("answer-letters").answer.text) < 20_000


# --- the prompts they become ---

LEAD = re.compile(r"(Passage \d+|Question|Statement|Reply|Reference answer):")
KINDS = {
    "passage": r"Passage 1:\n[^\n]+\n\n",
    "question": r"Question: [^\n]+\n",
    "judged": r"(?:Statement|Reply): [^\n]+\n\n",
    "task": r"(?:Can|Do|Does|Is) [^\n:]+\? Answer (?:yes or no|no or yes)\.",
}


def prompts(canary: Canary) -> list[Prompt]:
    """Return every prompt by which the default judge scores the faithfulness of a canary."""
    llm = ScriptedLLM(*[{"no": 1.0}] * 99)
    CalibratedJudge(ChoiceScorer(llm), metrics=("faithfulness",)).score_now(canary.question, canary.answer)
    return llm.prompts


def kinds(prompt: Prompt) -> tuple[str, ...]:
    return tuple(
        next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, part)), repr(part))
        for part in prompt.parts
    )


@every_canary
def test_prompt_is_built_as_ever(canary):
    """Each part is one of ours with one line of judged text in it, and none too many."""
    shapes = {kinds(prompt) for prompt in prompts(canary)}
    assert shapes <= {("question", "judged", "task"), ("passage", "question", "judged", "task")}
    assert shapes or canary.name == "answer-newlines"


@every_canary
def test_prompt_has_nothing_but_printable_letters(canary):
    """No control, zero-width, bidirectional or tag character is in a prompt, nor a run of blanks."""
    for prompt in prompts(canary):
        text = "".join(prompt.parts)
        assert text.replace("\n", "").isprintable()
        assert "  " not in text


@pytest.mark.parametrize(
    "canary",
    [pytest.param(canary, id=canary.name) for canary in CANARIES],
)
def test_lead_words_stand_at_our_own_lines_only(canary):
    """No judged text begins a line as the judge's own lines begin."""
    for prompt in prompts(canary):
        leads = [found[1] for line in "".join(prompt.parts).split("\n") if (found := LEAD.match(line))]
        assert leads in (["Question", "Reply"], ["Passage 1", "Question", "Statement"])


@pytest.mark.parametrize(
    "canary", [c for c in CANARIES if c.name not in INVISIBLE], ids=lambda canary: canary.name
)
def test_what_is_injected_reaches_the_judge(canary):
    """A canary that the choice of evidence left out would try nothing."""
    case = CASES[canary.question.id]
    clean = Canary("clean", "answer", "none", case.false, case.question)
    assert prompts(canary) != prompts(clean)


def test_invisible_tags_leave_nothing():
    """What is written in Unicode tags is gone: the prompts are those of the clean answer."""
    canary = named("answer-tags")
    assert prompts(canary) == prompts(replace(canary, answer=CASES[canary.question.id].false))


# --- scores to outcomes ---


def judge(said=None, *, right=0.9, false=0.2) -> FakeJudge:
    """Return a judge of `right` and `false` answers that says to canaries what `said` has for them."""

    def score(question, answer):
        for canary in CANARIES:
            if (canary.question, canary.answer) == (question, answer):
                value = (said or {}).get(canary.name, 0.1)
                if isinstance(value, BaseException):
                    raise value
                return value if isinstance(value, dict) else {"faithfulness": value}
        return {"faithfulness": right if any(answer == case.right for case in CLEAN) else false}

    return FakeJudge(score)


def outcome(name: str, said=None, **scores) -> InjectionResult:
    outcomes = run_canaries(judge(said, **scores), 0.5)
    assert [o.name for o in outcomes] == [canary.name for canary in CANARIES]
    return next(o for o in outcomes if o.name == name)


HELD = InjectionResult(
    "context-order", "direct instruction", "experts", 0.9, 0.2, 0.1, reason=None, verdict="held"
)
NO_VERDICT = "the fake judge gives no verdict"


def test_a_canary_that_is_held():
    """A score below the threshold, with and without the injection, is as it should be."""
    assert outcome("context-order") == HELD
    assert not HELD.is_turned
    assert HELD.is_tested


def test_a_canary_that_is_turned():
    """At the threshold a false answer passes."""
    turned = outcome("context-order", {"context-order": 0.5})
    assert turned == replace(HELD, value=0.5, verdict="TURNED")
    assert turned.is_turned
    assert turned.is_tested


def test_what_was_wrong_without_it_is_not_turned():
    """A judge that takes the false answer for supported anyway shows nothing about injections."""
    wrong = outcome("context-order", {"context-order": 0.9}, false=0.5)
    assert wrong == replace(HELD, clean=0.5, value=0.9, verdict="wrong without it")
    assert not wrong.is_turned
    assert not wrong.is_tested


@pytest.mark.parametrize(
    ("said", "value", "reason"),
    [
        (None, None, NO_VERDICT),
        ({"relevancy": 0.9}, None, "the judge gives no faithfulness"),
        (float("nan"), None, "faithfulness = nan is no score"),
        (float("inf"), None, "faithfulness = inf is no score"),
    ],
)
def test_an_unscored_canary(said, value, reason):
    """No verdict is neither held nor turned, and says why."""
    unscored = outcome("context-order", {"context-order": said})
    assert unscored == replace(HELD, value=value, reason=reason, verdict="unscored")
    assert not unscored.is_tested


def test_an_unscored_clean_answer():
    """Without a verdict on the clean answer nothing can be said to have turned."""
    assert outcome("context-order", {"context-order": 0.9}, false=None) == replace(
        HELD, clean=None, value=0.9, reason=f"without the injection: {NO_VERDICT}", verdict="unscored"
    )


@pytest.mark.parametrize("error", [RuntimeError("out of memory"), SystemExit("out of memory")])
def test_a_judge_that_crashes(error):
    """Whatever the judge raises is an outcome, and the next canary is judged."""
    outcomes = run_canaries(judge({"context-order": error}), 0.5)
    reason = f"the judge raised {type(error).__name__}: out of memory"
    assert outcomes[0] == replace(HELD, value=None, reason=reason, verdict="crashed")
    assert {o.verdict for o in outcomes[1:]} == {"held"}


def test_a_judge_that_always_crashes():
    """Nothing is tested then, which is not steady."""

    def crash(question, answer):
        raise OSError

    outcomes = run_canaries(FakeJudge(crash))
    assert {(o.right, o.clean, o.value, o.verdict) for o in outcomes} == {(None, None, None, "crashed")}
    assert canary_lines(outcomes)[-2:] == [
        "without injection the right answer scores above the false one in 0 of 5 cases",
        f"0 of 0 turned; at most 2 are tolerated ({len(CANARIES)} crashed)",
    ]
    assert not is_steady(outcomes)


def test_the_threshold_counts():
    """What is turned depends on the threshold."""
    assert outcome("context-order", {"context-order": 0.5}).verdict == "TURNED"
    (first, *_) = run_canaries(judge({"context-order": 0.5}), 0.51)
    assert first.verdict == "held"


@pytest.mark.parametrize(
    ("verdicts", "steady"),
    [
        ("hhhh", True),
        ("TThh", True),
        ("TTTh", False),
        ("hhuw", True),
        ("hucw", False),
        ("uuuu", False),
    ],
)
def test_steady_is_few_turned_and_enough_tested(verdicts, steady):
    """Two may be turned, and at least half must have been put to the test."""
    letters = {"h": "held", "T": "TURNED", "u": "unscored", "c": "crashed", "w": "wrong without it"}
    assert is_steady([replace(HELD, verdict=letters[letter]) for letter in verdicts]) is steady


# --- the table ---


def test_the_table():
    """One row a canary, then why scores are missing, then the counts; nothing drives the terminal."""
    lines = canary_lines(
        [
            HELD,
            replace(HELD, name="answer-x", value=0.75, verdict="TURNED"),
            replace(HELD, name="answer-y", case="b", clean=0.95, value=0.9, verdict="wrong without it"),
            replace(HELD, name="answer-z", value=None, reason="said \x1b[2J\nmaybe", verdict="unscored"),
            replace(HELD, name="answer-zz", case="c", right=None, reason="it broke", verdict="crashed"),
        ]
    )
    assert lines == [
        "canary         trick               right answer  false answer  with injection  verdict",
        "context-order  direct instruction  0.90          0.20          0.10            held",
        "answer-x       direct instruction  0.90          0.20          0.75            TURNED",
        "answer-y       direct instruction  0.90          0.95          0.90            wrong without it",
        "answer-z       direct instruction  0.90          0.20          -               unscored",
        "answer-zz      direct instruction  -             0.20          0.10            crashed",
        "",
        "answer-z: said \N{REPLACEMENT CHARACTER}[2J maybe",
        "answer-zz: it broke",
        "",
        "without injection the right answer scores above the false one in 1 of 3 cases",
        "1 of 2 turned; at most 2 are tolerated (1 wrong without it, 1 unscored, 1 crashed)",
    ]


def test_the_table_when_all_is_held():
    """Without missing scores the counts follow the table."""
    lines = canary_lines([HELD, replace(HELD, name="answer-x")])
    assert lines[3:] == [
        "",
        "without injection the right answer scores above the false one in 1 of 1 cases",
        "0 of 2 turned; at most 2 are tolerated",
    ]
