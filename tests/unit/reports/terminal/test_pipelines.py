"""The terminal summary, word by word."""

from __future__ import annotations

from dataclasses import replace

from rag_evals.evals.base.messages import printable
from rag_evals.evals.questions.question import Question
from rag_evals.evals.reports.terminal.pipelines import cache_line, cost_line, summary_lines
from rag_evals.evals.reports.text import display_width
from rag_evals.evals.runs.evaluation import Evaluation
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer, Tokens

THRESHOLDS = {"faithfulness": 0.5, "relevancy": 0.5, "refusal": 0.5}


def evaluation(name, *scores, pipeline="baseline", seconds=1.0, tokens=1000, error=None) -> Evaluation:
    return Evaluation(
        question=Question(name, "How many?"),
        pipeline=pipeline,
        answer=None if error else Answer("Two."),
        scores=scores,
        thresholds=THRESHOLDS,
        seconds={"generate": seconds, "judge": seconds / 2},
        tokens={"generate": Tokens(evaluated=tokens, reused=9999, generated=tokens // 10)},
        error=error,
    )


RUN = (
    evaluation("a", Score("faithfulness", 0.9), Score("relevancy", 0.7)),
    evaluation("b", Score("faithfulness", 0.3, evidence='"Four." is wrong'), Score("relevancy", 0.9)),
    evaluation("c", Score("faithfulness", None, reason="no key"), Score("relevancy", 0.8), seconds=4.0),
    evaluation("n", Score("refusal", 0.2), tokens=4000),
    evaluation("a", Score("faithfulness", 0.75), Score("relevancy", 0.75), pipeline="auto_merging"),
    evaluation(
        "b",
        Score("faithfulness", None, reason="there is no answer"),
        pipeline="auto_merging",
        error="OSError: no disk",
    ),
    evaluation("a", Score("faithfulness", None, reason="no key"), pipeline="mine"),
)
TABLE = """\
pipeline      questions  passed  failed  unscored  faithfulness  relevancy  refusal  s/question  tokens/question
baseline              4       1       2         1          0.60       0.80     0.20         2.6            1,925
auto_merging          2       1       1         0          0.75       0.75        -         1.5            1,100
mine                  1       0       0         1             -          -        -         1.5            1,100
tokens read / reused / written: generate 10,000 / 69,993 / 1,000
""".splitlines()  # noqa: E501


def test_table_and_what_is_unscored():
    """One row a pipeline; a mean is over the scores that are there, and "-" where there are none."""
    assert summary_lines(RUN, breaches=False) == [
        "baseline c: faithfulness unscored: no key",
        "mine a: faithfulness unscored: no key",
        "",
        *TABLE,
    ]


def test_breaches_are_listed_on_demand():
    """In report mode the summary lists every breach and error, in the order of the run."""
    assert summary_lines(RUN, breaches=True) == [
        'baseline b: faithfulness 0.30 < 0.50: "Four." is wrong',
        "baseline c: faithfulness unscored: no key",
        "baseline n: refusal 0.20 < 0.50",
        "auto_merging b: pipeline auto_merging raised OSError: no disk",
        "mine a: faithfulness unscored: no key",
        "",
        *TABLE,
    ]


def test_one_cause_is_told_once():
    """What many questions have in common has one line, whatever it took to find out; a few have one each."""
    reasons = [
        f"there is no verdict: http://h answered HTTP 503 (tried 8 times over {n}.0 s)" for n in range(5)
    ]
    down = [evaluation(f"q{n}", Score("faithfulness", None, reason=text)) for n, text in enumerate(reasons)]
    few = [
        evaluation(f"p{n}", Score("faithfulness", None, reason="no key"), pipeline="mine") for n in range(3)
    ]
    assert summary_lines([*down, *few], breaches=False)[:5] == [
        f"baseline q0 and 4 more: faithfulness unscored: {reasons[0]}",
        *(f"mine p{n}: faithfulness unscored: no key" for n in range(3)),
        "",
    ]


def test_names_in_wide_characters_are_aligned():
    """A name may take two columns a character; the numbers stand below each other all the same."""
    run = [evaluation("a", Score("refusal", 0.9), pipeline=name) for name in ("検索", "baseline")]
    header, wide, narrow, _ = summary_lines(run, breaches=False)
    assert wide.startswith("検索              1       1 ")
    assert narrow.startswith("baseline          1       1 ")
    assert display_width(header) == display_width(wide) == display_width(narrow)


def test_table_alone():
    """A run without trouble is a table; metrics that no question was asked for have no column."""
    assert summary_lines([evaluation("n", Score("refusal", 1.0), seconds=0.02)], breaches=True) == [
        "pipeline  questions  passed  failed  unscored  refusal  s/question  tokens/question",
        "baseline          1       1       0         0     1.00         0.0            1,100",
        "tokens read / reused / written: generate 1,000 / 9,999 / 100",
    ]


def test_control_characters_are_replaced():
    """Nothing that a document, a model or an exception says can drive the terminal or break the table."""
    lines = summary_lines(
        [
            evaluation("a", Score("faithfulness", 0.1, evidence='"\x1b[2J\x07Four.\r\nFive." is wrong')),
            evaluation(
                "b", Score("faithfulness", None, reason="?"), error="OSError: \x9b31m\n\nno\u202edisk"
            ),
        ],
        breaches=True,
    )
    assert lines[:3] == [
        'baseline a: faithfulness 0.10 < 0.50: "�[2J�Four. Five." is wrong',
        "baseline b: pipeline baseline raised OSError: �31m no�disk",
        "",
    ]
    assert all(line.isprintable() for line in lines)


def test_printable_keeps_what_can_be_read():
    """Letters of every script, signs and blanks stay as they are."""
    assert printable("Größe 大 🦜 “x” 1\u00d72") == "Größe 大 🦜 “x” 1\u00d72"
    assert printable("a\tb\nc\x00\x7f\x85\u2028") == "a�b�c����"


def test_stages_are_apart():
    """Each stage with what it read anew, found and wrote; a stage without tokens is not there."""
    tokens = {"rerank": Tokens(), "generate": Tokens(5000, 700, 60), "judge": Tokens(400, 30, 0)}
    one = replace(evaluation("a", Score("faithfulness", 0.9)), tokens=tokens)
    assert summary_lines([one, one], breaches=False)[-1] == (
        "tokens read / reused / written: generate 10,000 / 1,400 / 120, judge 800 / 60 / 0"
    )


def test_what_was_reused():
    """Counted are evaluations that have an answer; spared is what they took when they were made."""
    new = evaluation("a", Score("faithfulness", 0.9))
    answered, all_old = replace(new, cached=("answer",)), replace(new, cached=("answer", "scores"))
    failed = evaluation("b", Score("faithfulness", None), error="OSError: no disk")
    assert cache_line([new, failed]) == "cache: 0 of 1 answers reused, 0 of 1 verdicts reused"
    assert cache_line([new, answered, all_old]) == (
        "cache: 2 of 3 answers reused, 1 of 3 verdicts reused; that spared 2.5 s"
    )
    long = replace(all_old, seconds={"generate": 4000.0, "judge": 200.0})
    assert cache_line([long]).endswith("that spared 1 h 10 min")


def test_cost():
    """What was spent is added up where a price is known."""
    new = evaluation("a", Score("faithfulness", 0.9))
    assert cost_line([new]) is None
    assert cost_line([new, replace(new, usd=0.25), replace(new, usd=0.0)]) == "cost: $0.2500"


def test_a_table_that_is_too_wide_stands_on_its_side():
    """No line is wider than the terminal; a pipeline is a column then."""
    lines = summary_lines(RUN, breaches=False, width=60)
    wide = summary_lines(RUN, breaches=False)
    table = [
        line for line in lines if line.split(" ")[0] in ("pipeline", "questions", "passed", "s/question")
    ]
    assert len(table) == 4
    assert max(map(len, table)) <= 60
    assert summary_lines(RUN, breaches=False, width=max(map(len, wide))) == wide
