"""The HTML report as text: complete in itself, escaped, the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from evals.compare import compare
from evals.questions import Question, Source
from evals.records import ClaimScore, Evaluation, Score
from evals.reports.html import comparison_html, run_html, shown
from evals.runs import RunData
from rag.answer import Answer, Context, Tokens

CONTEXT = Context("Each token uses two experts.", "moe.pdf", page=3, start=10, end=38, score=0.75)
CLAIM = ClaimScore("Nine are used.", 0.25, 12, 26, closest=CONTEXT)
ANSWER = Answer("Experts. So Nine are used. Enough.", (CONTEXT,))
HOSTILE = (
    "</script><script>hurt()</script><img src=x onerror=hurt()>{{ 77 * 1001 }}{% raw %}"
    "\x00\u202egnp\" onclick='hurt()"
)


def evaluation(name: str = "experts", value: float | None = 0.25, **changes) -> Evaluation:
    score = Score("faithfulness", value, reason=None if value is not None else "no key", claims=(CLAIM,))
    question = Question(
        name, "How many experts?", "Two.", sources=(Source("moe.pdf", 3, 10, 38),), tags=("numbers",)
    )
    whole = Evaluation(
        question,
        "baseline",
        ANSWER,
        (score, Score("relevancy", 0.9)),
        {"faithfulness": 0.5, "relevancy": 0.5},
        {"generate": 1.5, "judge": 0.5},
        {"generate": Tokens(1200, 30, 34)},
    )
    return replace(whole, **changes)


def run_of(*evaluations: Evaluation, name: str = "20260101-run") -> RunData:
    judge = {"type": "judge", "name": "fake", "fingerprint": "j1", "settings": {}}
    return RunData(name, {"mode": "gate", "versions": {"rag-evals": "0.1.0"}}, (judge,), evaluations)


class Page(HTMLParser):
    """Which tags, attributes and texts a page has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def test_what_is_in_it():
    """Run, gate, table, question, answer, scores, claim with what is closest, passage, spent."""
    page = Page(run_html(run_of(evaluation()), gate=["gate: PASS"]))
    for text in (
        "Run 20260101-run",
        "1 evaluations, mode gate, rag-evals 0.1.0",
        "gate: PASS",
        "judge fake, uncalibrated",
        "experts",
        "How many experts?",
        "Two.",
        "below 0.50",
        "Each token uses two experts.",
        "moe.pdf p.3, characters 10 to 38",
        "score 0.750",
        "generate 1.50 s, judge 0.50 s; tokens read / reused / written: generate 1,200 / 30 / 34",
        "contradicted",
    ):
        assert text in page.text, text


def test_claims_are_marked_in_place():
    """What is not supported is marked where it stands in the answer, with its probability."""
    text = run_html(run_of(evaluation()))
    marked = '<mark class="low" title="not supported: 0.25">Nine are used.</mark>'
    assert f"Experts. So {marked} Enough.</p>" in text


def test_claims_that_overlap_lose_nothing():
    """However the offsets lie, the answer can be read whole."""
    claims = tuple(
        ClaimScore("x", value, start, end)
        for value, start, end in ((0.1, 0, 12), (None, 5, 20), (0.2, 8, 9), (0.3, 30, 99), (0.9, 20, 25))
    )
    scored = replace(evaluation().scores[0], claims=claims)
    page = run_html(run_of(evaluation(scores=(scored,))))
    answer = re.search(r'<p class="answer"[^>]*>(.*?)</p>', page, re.S)[1]
    assert Page(answer).text == ANSWER.text


def test_what_cannot_be_told():
    """Unscored with its reason, an error without an answer, no passages."""
    unscored = evaluation("unscored", None)
    broken = evaluation("broken", None, answer=None, error="OSError: no disk")
    page = Page(run_html(run_of(unscored, broken)))
    assert "no key" in page.text
    assert "OSError: no disk" in page.text
    assert "no passages" in page.text


def test_nothing_is_loaded():
    """No address, no style by attribute, and a policy that heeds this very style and script only."""
    text = run_html(run_of(evaluation()))
    page = Page(text)
    assert not [
        a
        for _, attributes in page.tags
        for a in attributes
        if a in ("src", "style", "srcset") or a.startswith("on")
    ]
    assert all(attributes["href"].startswith("#") for attributes in page.named("a"))
    assert page.named("link") == page.named("img") == page.named("iframe") == []
    policy = next(a["content"] for a in page.named("meta") if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        (inline,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(inline.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy


def test_hostile_text_stays_text():
    """From a document, a model, a question file or a pipeline's name: it is neither tag nor attribute."""
    context = replace(CONTEXT, text=HOSTILE, document=HOSTILE)
    claim = replace(CLAIM, text=HOSTILE, closest=context)
    score = Score("faithfulness", 0.25, evidence=HOSTILE, claims=(claim,))
    hurt = evaluation(
        question=Question(HOSTILE, HOSTILE, HOSTILE, tags=(HOSTILE,)),
        pipeline=HOSTILE,
        answer=Answer(HOSTILE, (context,)),
        scores=(score, Score(HOSTILE, 0.9)),
    )
    broken = replace(hurt, answer=None, error=HOSTILE)
    quiet, loud = (
        Page(run_html(run_of(*e), gate=g)) for e, g in (((evaluation(),), ()), ((hurt, broken), (HOSTILE,)))
    )
    assert len(loud.named("script")) == len(quiet.named("script")) == 1
    assert loud.named("img") == []
    assert not [a for _, attributes in loud.tags for a in attributes if a.startswith("on")]
    assert "77077" not in loud.text
    assert "{{ 77 * 1001 }}" in loud.text
    assert not re.search("[\x00\u202e]", loud.text)


def test_tricks_are_shown():
    """What hides or turns text around is replaced; line ends, tabs and other scripts are not."""
    assert shown("a\x1b[31m\u202eb\u2066c\ud800") == "a\ufffd[31m\ufffdb\ufffdc\ufffd"
    assert shown("a\n\tb שלום 你好") == "a\n\tb שלום 你好"


def test_a_passage_stands_once():
    """Many questions on one passage write it down once, and point to it."""
    page = Page(run_html(run_of(*(evaluation(f"q{n}") for n in range(5)))))
    assert page.text.count("Each token uses two experts.") == 1 + 5  # and as the closest to each claim
    assert len([a for a in page.named("a") if a["href"] == "#p1"]) == 5


def test_two_runs_side_by_side():
    """Both answers, what was gained and lost, which way it went, what changed."""
    other = Context("Experts are many.", "moe.pdf", page=9, start=90, end=107)
    before = run_of(evaluation(value=0.9, answer=Answer("Two are used.", (other,))), name="main")
    after = run_of(evaluation())
    text = comparison_html(compare(after, before), after, before)
    page = Page(text)
    assert "Run 20260101-run, compared with main" in page.text
    assert "Two are used." in page.text
    assert "newly failing" in page.text
    assert '<span class="tag gained">gained</span>' in text
    assert '<span class="tag lost">lost</span>' in text
    assert 'data-flip="newly failing"' in text


@pytest.mark.parametrize("evaluations", [(), (evaluation(value=None),), (evaluation(),)])
def test_the_same_run_gives_the_same_text(evaluations):
    """An empty run, one without a verdict, one question: each is a page, to the byte."""
    run = run_of(*evaluations)
    assert run_html(run) == run_html(run)
    assert Page(run_html(run)).text
