"""The HTML report as text: complete in itself, escaped, the same each time."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import asdict, replace
from html.parser import HTMLParser
from importlib.resources import files

import pytest
from rag_evals.evals.base.intervals import Interval
from rag_evals.evals.gate.comparison.compare import compare
from rag_evals.evals.gate.verdict import Verdict
from rag_evals.evals.judges.calibration.judge_card import Trust
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.reports.html.page import comparison_html, run_html
from rag_evals.evals.reports.html.plots import bin_counts
from rag_evals.evals.reports.html.questions import number_text
from rag_evals.evals.reports.text import Line, visible_text
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.header import ComponentInfo, header_from_json
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Citation, Context, Span, Tokens

CONTEXT = Context("Each token uses two experts.", "moe.pdf", page=3, start=10, end=38, score=0.75)
CLAIM = ClaimScore("Nine are used.", 0.25, 12, 26, closest=CONTEXT, unsupported=("Nine",))
ANSWER = Answer("Experts. So Nine are used. Enough.", (CONTEXT,))
HOSTILE = (
    "</script><script>hurt()</script><img src=x onerror=hurt()>{{ 77 * 1001 }}{% raw %}"
    "\x00\u202egnp\" onclick='hurt()' javascript:hurt()\u2028</style></title></textarea>-->"
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


def run_of(*evaluations: Evaluation, name: str = "20260101-run") -> Run:
    judge = ComponentInfo("judge", "fake", "j1", {})
    return Run(
        name, header_from_json({"mode": "gate", "versions": {"rag-evals": "0.1.0"}}), (judge,), evaluations
    )


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
    page = Page(run_html(run_of(evaluation()), gate=[Line("gate: PASS", Verdict.PASS)]))
    for text in (
        "Run 20260101-run",
        "evaluations: 1, questions: 1, mode gate, rag-evals 0.1.0",
        "gate: PASS",
        "judge: fake, uncalibrated: how often it errs is not known (rag-evals calibrate)",
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


def test_what_the_judge_is_worth():
    """The figures of its card stand at the head."""
    trust = Trust("faithfulness", 0.5, Interval(0.83, 0.76, 0.89), (50, 60), (50, 60))
    card = {"labels": {"name": "halu-mini"}, "trust": [asdict(trust)]}
    judge = ComponentInfo("judge", "fake", "j1", {"card": card})
    page = Page(run_html(replace(run_of(evaluation()), components=(judge,))))
    assert "judge: fake, balanced accuracy on halu-mini: faithfulness 0.83 (0.76 to 0.89)" in page.text


def test_a_judge_that_is_not_trusted():
    """A score below its threshold is red: the head says in which metrics it may well be wrong."""
    good = Trust("relevancy", 0.5, Interval(0.9, 0.85, 0.95), (50, 60), (50, 60))
    weak = Trust("faithfulness", 0.5, Interval(0.67, 0.61, 0.72), (50, 60), (50, 60))
    unused = Trust("context_recall", 0.5, Interval(0.5, 0.4, 0.6), (50, 60), (50, 60))
    card = {"labels": {"name": "mini"}, "trust": [asdict(one) for one in (good, weak, unused)]}
    judge = ComponentInfo("judge", "fake", "j1", {"card": card})
    text = Page(run_html(replace(run_of(evaluation()), components=(judge,)))).text
    assert "judge: not to be trusted in faithfulness: balanced accuracy may be as low as 0.61" in text
    assert "context_recall" not in text
    assert "corrected for the judge" not in text


def test_claims_are_marked_in_place():
    """What is not supported is marked where it stands in the answer, with its probability."""
    text = run_html(run_of(evaluation()))
    title = "not supported: 0.25; unsupported: Nine; closest: Each token uses two experts."
    marked = f'<mark class="low" title="{title}">Nine are used.</mark>'
    assert f"Experts. So {marked} Enough.</p>" in text


def test_unsupported_words_stand_with_their_claim():
    """Where there are any."""
    assert "unsupported: Nine" in Page(run_html(run_of(evaluation()))).text
    score = Score("faithfulness", 0.25, claims=(replace(CLAIM, unsupported=()),))
    assert "unsupported" not in Page(run_html(run_of(evaluation(scores=(score,))))).text


def test_where_else_a_passage_stands():
    copied = replace(CONTEXT, copies=(Span("a.md"), Span("moe.pdf", 9), Span("b.md", 2)))
    page = Page(run_html(run_of(evaluation(answer=replace(ANSWER, contexts=(copied,))))))
    assert "moe.pdf p.3, characters 10 to 38; the same in a.md, b.md" in page.text


def test_the_closest_passage_is_pointed_to():
    """The one that it was cut from, not another with the same words."""
    same = replace(CONTEXT, document="other.pdf")
    later = replace(CONTEXT, start=500, end=528)
    page = Page(run_html(run_of(evaluation(answer=replace(ANSWER, contexts=(same, later, CONTEXT))))))
    assert [a["href"] for a in page.named("a") if a.get("class") == "near"] == ["#p3"]


def test_a_claim_without_a_verdict_says_why():
    """It is marked, otherwise than one without support."""
    claim = replace(CLAIM, value=None, reason="the judge gave no digit", closest=None)
    score = replace(evaluation().scores[0], claims=(claim,))
    text = run_html(run_of(evaluation(scores=(score,))))
    assert '<mark class="unknown" title="no verdict: the judge gave no digit">' in text
    assert "<td>no verdict: the judge gave no digit</td>" in text


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
    for tag, count in (("style", 1), ("script", 2)):
        inline = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digests = [base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in inline]
        assert len(inline) == count
        assert f"{tag}-src {' '.join(f'{chr(39)}sha256-{one}{chr(39)}' for one in digests)};" in policy
    assert "unsafe" not in policy


def test_hostile_text_stays_text():
    """From a document, a model, a question file or a pipeline's name: it is neither tag nor attribute."""
    context = replace(CONTEXT, text=HOSTILE, document=HOSTILE)
    claim = replace(CLAIM, text=HOSTILE, closest=context, unsupported=(HOSTILE,))
    score = Score("faithfulness", 0.25, evidence=HOSTILE, claims=(claim,))
    hurt = evaluation(
        question=Question(HOSTILE, HOSTILE, HOSTILE, tags=(HOSTILE,)),
        pipeline=HOSTILE,
        answer=Answer(HOSTILE, (context,)),
        scores=(score, Score(HOSTILE, 0.9)),
    )
    broken = replace(hurt, answer=None, error=HOSTILE)
    quiet, loud = (
        Page(run_html(run_of(*e), gate=g))
        for e, g in (((evaluation(),), ()), ((hurt, broken), (Line(HOSTILE),)))
    )
    assert len(loud.named("script")) == len(quiet.named("script")) == 2
    assert loud.named("img") == []
    assert not [a for _, attributes in loud.tags for a in attributes if a.startswith("on")]
    assert "77077" not in loud.text
    assert "{{ 77 * 1001 }}" in loud.text
    assert not re.search("[\x00\u202e]", loud.text)


def test_tricks_are_shown():
    """What hides or turns text around is replaced; line ends, tabs and other scripts are not."""
    assert visible_text("a\x1b[31m\u202eb\u2066c\ud800") == "a\ufffd[31m\ufffdb\ufffdc\ufffd"
    assert visible_text("a\n\tb שלום 你好") == "a\n\tb שלום 你好"


def test_a_passage_stands_once():
    """Many questions on one passage write it down once, and point to it."""
    page = Page(run_html(run_of(*(evaluation(f"q{n}") for n in range(5)))))
    assert page.text.count("Each token uses two experts.") == 1 + 5  # and as the closest to each claim
    assert [a["href"] for a in page.named("a") if a.get("class") == "passage"] == ["#p1"] * 5


def test_pipelines_side_by_side():
    """Counts, pass rate without the unscored, means, also of metrics that are not ours."""
    scores = (Score("faithfulness", 0.9), Score("brevity", 0.3))
    run = run_of(
        evaluation("a"),
        evaluation("b", scores=scores),
        evaluation("c", None),
        evaluation("a", pipeline="other", scores=scores),
    )
    text = run_html(run)
    rows = re.findall(r'<tr><th scope="row">(.*?)</tr>', text.split('aria-labelledby="plots"')[0], re.S)
    assert [re.sub("<[^>]+>", " ", row).split() for row in rows] == [
        ["baseline", "3", "1", "1", "1", "0.50", "0.57", "0.90", "0.30", "2.0", "1,234"],
        ["other", "1", "1", "0", "0", "1.00", "0.90", "-", "0.30", "2.0", "1,234"],
    ]


def test_what_is_below_its_threshold_does_not_read_otherwise():
    """0.4996 is not shown as 0.50 beside a threshold of 0.50, and is marked."""
    assert number_text(0.4996, 0.5) == "0.4996"
    assert number_text(0.5004, 0.5) == "0.50"
    assert number_text(None) == "-"
    assert '<td class="low">0.4996</td>' in run_html(run_of(evaluation(value=0.4996)))


def test_what_it_sorts_by():
    """More digits than are shown, where there are some."""
    assert '<td data-exact="0.51234">0.51</td>' in run_html(run_of(evaluation(value=0.512341)))


def test_plots_bear_what_is_out_of_bounds():
    """A file from elsewhere may hold any number."""
    counts = bin_counts([-3.0, 0.0, 0.5, 1.0, 7.0])
    assert (counts[0], counts[10], counts[19]) == (2, 1, 2)
    text = run_html(run_of(evaluation("a", -3.0), evaluation("b", 7.0)))
    assert {float(y) for y in re.findall(r'cy="([^"]*)"', text)} <= {4.0, 11.2, 76.0}


@pytest.mark.parametrize("scheme", [0, 1])
def test_contrast(scheme):
    """AA of WCAG 2: 4.5 to 1 for text on each of its backgrounds, 3 to 1 for the borders of fields."""
    css = (files("rag_evals.evals.reports.html") / "templates" / "palette.css").read_text("utf-8")
    block = re.findall(r":root \{(.*?)\}", css, re.S)[scheme]
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{6})", block))
    for ink in ("text", "quiet", "good", "bad", "odd", "accent"):
        for paper in ("page", "panel"):
            assert contrast(colours[ink], colours[paper]) >= 4.5, (ink, paper)
    for paper in ("bad-back", "odd-back", "good-back"):
        assert contrast(colours["text"], colours[paper]) >= 4.5, paper
    assert contrast(colours["edge"], colours["page"]) >= 3


def contrast(ink: str, paper: str) -> float:
    light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[n : n + 2], 16) / 255 for n in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


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
    assert "is worse than main" in page.text
    assert "90 % interval" in page.text
    assert "tokens/question before" in page.text


def test_what_only_one_run_has():
    """A question that asks something else now stands beside nothing, and is told of on both sides."""
    before = run_of(evaluation("moved", question=Question("moved", "What was asked?")), name="main")
    after = run_of(evaluation("moved"), evaluation("new"))
    text = run_html(after, base=before)
    assert text.count('data-flip="only in this run"') == 2
    assert '<span class="quiet">baseline · moved</span> What was asked?' in text
    assert "<h3 class=" not in text


def test_notes_are_said_once():
    """Those of the gate's lines stand there; what the lines leave out stands below them."""
    before, after = run_of(evaluation(), name="main"), replace(run_of(evaluation()), notes=("cut short",))
    assert run_html(after).count("cut short") == 1
    assert run_html(after, base=before).count("20260101-run: cut short") == 1
    gate = [Line("- 20260101-run: cut short"), Line("gate: BLOCK", Verdict.BLOCK)]
    told = run_html(after, base=before, gate=gate)
    assert told.count("20260101-run: cut short") == 1
    assert '<span class="BLOCK">gate: BLOCK</span>' in told
    assert "is not worse" not in told


@pytest.mark.parametrize("evaluations", [(), (evaluation(value=None),), (evaluation(),)])
def test_the_same_run_gives_the_same_text(evaluations):
    """An empty run, one without a verdict, one question: each is a page, to the byte."""
    run = run_of(*evaluations)
    assert run_html(run) == run_html(run)
    assert Page(run_html(run)).text


# --- citations ---

LONG = Context(f"{'Before it. ' * 40}Each token uses two experts.{' Behind it.' * 40}", "moe.pdf", page=3)
CITING = (
    Score(
        "citation_precision",
        0.0,
        claims=(
            ClaimScore(
                "Two are used [1].", 0.9, 0, 17, CONTEXT, citations=(Citation(13, 16, (0,), mark="[1]"),)
            ),
            ClaimScore(
                "Nine are used [1].",
                0.1,
                18,
                36,
                CONTEXT,
                unsupported=("Nine",),
                citations=(Citation(32, 35, (0,), mark="[1]"),),
            ),
            ClaimScore(
                "Ten are used [9].",
                0.0,
                37,
                54,
                citations=(Citation(50, 53, (8,), mark="[9]"),),
                fault="cites passage 9, and 1 was retrieved",
            ),
        ),
    ),
    Score(
        "citation_recall",
        0.25,
        claims=(ClaimScore("It is fast.", 0.0, 55, 66, fault="cites nothing"),),
    ),
)


def citing(*scores: Score, contexts: tuple[Context, ...] = (LONG,)) -> str:
    answer = Answer("Two are used [1]. Nine are used [1]. Ten are used [9]. It is fast.", contexts)
    thresholds = dict.fromkeys(("citation_precision", "citation_recall"), 0.5)
    return run_html(run_of(evaluation(answer=answer, scores=scores, thresholds=thresholds)))


def rows(text: str) -> list[list[str]]:
    """Return the cells of the table of citations."""
    table = text.partition('<table class="claims citations">')[2].partition("</table>")[0]
    return [re.findall(r"<td.*?>(.*?)</td>", row) for row in table.split("<tr>")[2:]]


def test_each_sentence_stands_beside_the_passage_that_it_cites():
    """With the verdict, and the cited place marked in what is around it; what cites nothing is there too."""
    around = ("Before it. " * 40)[-235:], (" Behind it." * 40)[:238]
    passage = (
        f'<q>…{around[0]}<mark class="near">Each token uses two experts.</mark>{around[1]}…</q> '
        '<a href="#p1" class="near">moe.pdf p.3</a>'
    )
    nothing = '<span class="quiet">nothing</span>'
    assert rows(citing(*CITING)) == [
        [
            "Two are used [1].",
            "[1]",
            '<span>0.90</span><br><span class="quiet" dir="auto">supports it</span>',
            passage,
        ],
        [
            'Nine are used [1].<br><span class="quiet">unsupported: Nine</span>',
            "[1]",
            '<span class="low">0.10</span><br><span class="quiet" dir="auto">does not support it</span>',
            passage,
        ],
        [
            "Ten are used [9].",
            "[9]",
            '<span class="low">0.00</span><br>'
            '<span class="quiet" dir="auto">cites passage 9, and 1 was retrieved</span>',
            nothing,
        ],
        [
            "It is fast.",
            "",
            '<span class="low">0.00</span><br><span class="quiet" dir="auto">cites nothing</span>',
            nothing,
        ],
    ]  # fmt: skip


def test_of_recall_alone_each_sentence_has_all_that_it_cites():
    """And without scores of citations there is no table."""
    claim = replace(
        CITING[0].claims[0], citations=(Citation(contexts=(0,)), Citation(document="moe.pdf", page=3))
    )
    (row,) = rows(citing(Score("citation_recall", 0.9, claims=(claim,))))
    assert row[1] == "passage 1, moe.pdf p.3"
    assert '<table class="claims citations">' not in run_html(run_of(evaluation()))


def test_citations_are_text():
    """Nothing of a sentence, a mark, a fault or a document's name becomes part of the page."""
    hostile = Context(f"So {HOSTILE} it.", HOSTILE)
    claim = ClaimScore(
        HOSTILE,
        0.1,
        0,
        5,
        replace(hostile, text=HOSTILE),
        citations=(Citation(document=HOSTILE, mark=HOSTILE),),
    )
    page = Page(
        citing(
            Score("citation_precision", 0.1, claims=(claim, replace(claim, fault=HOSTILE))),
            contexts=(hostile,),
        )
    )
    assert len(page.named("script")) == 2
    assert page.named("img") == []
    assert not any(name.startswith("on") for _, attributes in page.tags for name in attributes)
