"""The line of progress, word by word, on a clock of the test's own."""

from __future__ import annotations

import threading

import pytest
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.progress import Progress, duration, is_ci
from rag_evals.evals.reports.text import display_width
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Tokens

WIDE = 200


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def evaluation(name="a", *, pipeline="baseline", tokens=1180, judge=0, cached=(), **values) -> Evaluation:
    scores = values or {"faithfulness": 0.5}
    return Evaluation(
        question=Question(name, "How many?"),
        pipeline=pipeline,
        answer=Answer("Two."),
        scores=tuple(Score(m, v, reason=None if v is not None else "?") for m, v in scores.items()),
        thresholds={},
        tokens={
            "generate": Tokens(evaluated=tokens - 10, reused=10**6, generated=10),
            "judge": Tokens(evaluated=judge),
        },
        cached=cached,
    )


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def run(clock):
    """A run of 28 evaluations; `after` lets one finish that took so many seconds."""

    class Run(Progress):
        def after(self, seconds: float, *args, **kwargs) -> None:
            clock.now += seconds
            self.finished(evaluation(*args, **kwargs))

        def now(self, width: int = WIDE) -> str:
            return self.line(width)

        def left(self) -> str | None:
            return next((piece for piece in self.now().split(" · ") if piece.endswith(" left")), None)

        def rate(self) -> str | None:
            return next((piece for piece in self.now().split(" · ") if "tokens/s" in piece), None)

    return Run(28, clock=clock)


def test_whole_line(run, clock):
    """Everything there is to say."""
    for n in range(12):
        run.started("baseline", f"q{n}")
        run.after(10.0, f"q{n}", faithfulness=0.62, relevancy=0.91)
    clock.now += 2
    run.started("baseline", "experts-per-token")
    clock.now += 1
    run.stage("judge")
    assert run.now() == (
        "evals 12/28 · 2 min 37 s left · baseline experts-per-token · judge · "
        "faithfulness 0.62 relevancy 0.91 · 118 tokens/s"
    )


def test_before_the_first_evaluation(run):
    """Nothing is made up."""
    assert run.now() == "evals 0/28"
    run.started("baseline", "a")
    assert run.now() == "evals 0/28 · baseline a"
    run.stage("retrieve")
    assert run.now() == "evals 0/28 · baseline a · retrieve"


def test_without_a_total(clock):
    """An xdist controller is not told how many there are before the first is there."""
    run = Progress(clock=clock)
    assert not run.is_begun
    assert run.line(WIDE) == "evals 0"
    clock.now += 10
    run.finished(evaluation())
    assert run.is_begun
    assert run.line(WIDE) == "evals 1 · faithfulness 0.50 · 118 tokens/s"
    run.expect(3)
    assert run.line(WIDE) == "evals 1/3 · 20 s left · faithfulness 0.50 · 118 tokens/s"


def test_means_are_over_scored_values(run):
    """Unscored is not zero; a metric without a value is a dash; the order is the summary's."""
    run.after(1, relevancy=0.9, faithfulness=None)
    assert "· relevancy" not in run.now()
    assert "faithfulness - relevancy 0.90" in run.now()
    run.after(1, relevancy=0.8, faithfulness=0.4)
    run.after(1, refusal=0.5, own=0.25)
    assert "faithfulness 0.40 relevancy 0.85 refusal 0.50 own 0.25" in run.now()


def test_more_than_were_counted(clock):
    """A test that evaluates twice makes the total grow, not the count exceed it."""
    run = Progress(1, clock=clock)
    for _ in range(2):
        run.finished(evaluation())
    assert run.line(WIDE).startswith("evals 2/2 · ")
    assert "left" not in run.line(WIDE)


def test_several_at_once(run, clock):
    """The one that began last is shown; when it is there, none is, as what is left may never end."""
    run.started("baseline", "a")
    run.started("auto_merging", "a")
    assert run.now() == "evals 0/28 · auto_merging a"
    run.after(1, "a")
    assert " · auto_merging a · " in run.now()
    run.after(1, "a", pipeline="auto_merging")
    assert "auto_merging a" not in run.now()


def test_time_left_withstands_odd_ones(run):
    """One evaluation that loads a model, and one that never ends, leave the pace as it is."""
    run.after(300)
    assert run.left() == "2 h 15 min left"
    for _ in range(6):
        run.after(10)
    run.after(600)
    assert run.left() == "3 min 20 s left"


def test_time_left_follows_a_change(run):
    """Only the last twenty tell the pace."""
    run.expect(1000)
    for _ in range(30):
        run.after(100)
    for _ in range(20):
        run.after(1)
    assert run.left() == "15 min left"


def test_time_left_goes_down_between_evaluations(run, clock):
    """What the present evaluation has had is taken off, but no more than it is expected to take."""
    run.expect(4)
    run.after(30)
    seen = []
    for _ in range(4):
        clock.now += 12
        seen.append(run.left())
    assert seen == ["1 min 18 s left", "1 min 06 s left", "1 min 00 s left", "1 min 00 s left"]


def test_time_between_tests_is_nobodys(run, clock):
    """What a fixture takes before an evaluation begins does not count to its pace."""
    run.expect(3)
    clock.now += 500
    run.started("baseline", "a")
    run.after(10, "a")
    assert run.left() == "20 s left"


def test_several_at_once_share_the_time(run):
    """Two workers that take ten seconds each finish one every five."""
    run.expect(20)
    for _ in range(5):
        run.after(1)
        run.after(9)
    assert run.left() == "50 s left"


BOTH = ("answer", "scores")


def test_reused_evaluations_have_a_pace_of_their_own(run):
    """Neither makes the others look fast: what the last few were, those to come are taken to be."""
    run.expect(120)
    for _ in range(50):
        run.after(0.01, cached=BOTH)
    assert run.left() == "1 s left"
    for _ in range(8):
        run.after(10)
    assert run.left() == "10 min left"
    for _ in range(4):
        run.after(0.0, cached=BOTH)
    assert run.left() == "4 min 50 s left"


def test_partly_reused_is_computed(run):
    """An answer that was there and is judged anew takes its time."""
    run.expect(3)
    run.after(10, cached=("answer",))
    run.after(0, cached=BOTH)
    assert run.left() == "5 s left"


def test_tokens_a_second_over_the_last_evaluations(run, clock):
    """The time between evaluations does not count, nor do those of long ago."""
    run.after(100, tokens=100_000)
    assert run.rate() == "1,000 tokens/s"
    clock.now += 50
    run.started("baseline", "a")
    run.after(10, "a", tokens=1000)
    assert run.rate() == "918 tokens/s"
    for _ in range(20):
        run.after(10, tokens=1000)
    assert run.rate() == "100 tokens/s"


def test_tokens_of_what_was_reused_do_not_count(run):
    """They were evaluated in another run."""
    run.after(10, tokens=5000, judge=300, cached=("answer",))
    assert run.rate() == "30 tokens/s"
    run.after(10, tokens=5000, judge=300, cached=BOTH)
    assert run.rate() == "30 tokens/s"


def test_no_tokens_no_rate(run):
    """A pipeline that counts none has no speed in tokens."""
    run.after(10, tokens=10, cached=BOTH)
    assert run.rate() is None


def test_narrow_terminals(run):
    """The least important stands last, and is what is cut."""
    run.after(10)
    run.started("baseline", "experts")
    run.stage("judge")
    line = "evals 1/28 · 4 min 30 s left · baseline experts · judge · faithfulness 0.50 · 118 tokens/s"
    assert [run.now(width) for width in (len(line), 47, 30, 11, 9, 1, 0)] == [
        line,
        "evals 1/28 · 4 min 30 s left · baseline expert…",
        "evals 1/28 · 4 min 30 s left …",
        "evals 1/28…",
        "evals 1/…",
        "…",
        "",
    ]


def test_a_wait_for_a_server_is_said(run, clock):
    """As long as it lasts, by the longest that any call waits for."""
    run.waiting(34)
    run.waiting(12)
    assert run.now() == "evals 0/28 · waiting for the server's limit, 34 s"
    clock.now += 30.5
    assert run.now() == "evals 0/28 · waiting for the server's limit, 4 s"
    clock.now += 4
    assert run.now() == "evals 0/28"


def test_ids_cannot_drive_the_terminal(run):
    """Names come from files: no control character, no line break, no endless id."""
    run.started("base\x1b[2Jline", "x\r\n\ty" + "z" * 300)
    run.stage("ju\x07dge")
    line = run.now()
    assert line == "evals 0/28 · base�[2Jline x y" + "z" * 36 + "… · ju�dge"
    assert line.isprintable()


@pytest.mark.parametrize("text", ["大" * 10, "e\N{COMBINING ACUTE ACCENT}" * 60, "🦜" * 30], ids=ascii)
def test_wide_characters(run, text):
    """A line is no wider than the terminal, by the columns that characters take."""
    run.started("baseline", text)
    assert all(display_width(run.now(width)) <= width for width in range(100))


@pytest.mark.parametrize(
    ("environ", "answer"),
    [({"CI": "true"}, True), ({"CI": "1"}, True), ({"CI": "false"}, False), ({"CI": ""}, False), ({}, False)],
    ids=str,
)
def test_continuous_integration(environ, answer):
    assert is_ci(environ) is answer


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"), (0.4, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (220, "3 min 40 s"),
        (599, "9 min 59 s"), (600, "10 min"), (3599, "59 min"), (3600, "1 h 00 min"), (7500, "2 h 05 min"),
    ],
)  # fmt: skip
def test_durations(seconds, text):
    assert duration(seconds) == text


def test_many_threads(clock):
    """The engine tells while the terminal asks."""
    run = Progress(4000, clock=clock)

    def tell(name: str) -> None:
        for n in range(1000):
            run.started(name, str(n))
            run.stage("judge")
            run.line(WIDE)
            run.finished(evaluation(str(n), pipeline=name))

    threads = [threading.Thread(target=tell, args=(f"p{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert run.line(WIDE).startswith("evals 4000/4000 · faithfulness 0.50")
