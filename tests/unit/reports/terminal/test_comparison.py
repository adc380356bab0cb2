"""A comparison on the terminal, as Markdown and as JSON: whole, safe, bounded, the same every time."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from random import Random

import pytest
from rag_evals.evals.gate.comparison.compare import Comparison, compare
from rag_evals.evals.questions.question import Question, Source
from rag_evals.evals.reports.markdown import LIMIT, code_span, comparison_markdown, run_markdown
from rag_evals.evals.reports.terminal.comparison import baseline_lines, comparison_json, comparison_lines
from rag_evals.evals.reports.text import Line, display_width
from rag_evals.evals.runs.evaluation import Evaluation, evaluation_to_json
from rag_evals.evals.runs.header import ComponentInfo, RunHeader, header_from_json
from rag_evals.evals.runs.run import Run
from rag_evals.evals.runs.score import ClaimScore, Score
from rag_evals.rag.answer import Answer, Context, Tokens

JUDGE = ComponentInfo("judge", "fake", "f" * 64)
HERE, OTHER = Context("x", "a.md", 4, 0, 100), Context("y", "a.md", None, 500, 600)
HOSTILE = (
    "</code><script>alert(1)</script> ``` @everyone #1 ![x](http://evil/x.png) [a](http://evil) | a ` b \\` "
    "\n\n# Heading\n- item\x1b[2J\u202e\r\n<!-- https://evil.example www.evil.example owner/repo#2 "
)


def pipeline(**settings) -> ComponentInfo:
    return ComponentInfo("pipeline", "one", "a" * 64, settings)


def evaluation(name="a", value: float | None = 0.9, *contexts: Context, text="Two.", **changes) -> Evaluation:
    claim = ClaimScore(text, value, 0, 4, HERE)
    given = {
        "question": Question(name, f"How many {name}?", "Two.", (Source("a.md", start=10, end=60),)),
        "pipeline": "one",
        "answer": Answer(text, contexts or (HERE,)),
        "scores": (Score("faithfulness", value, None if value is not None else "no key", claims=(claim,)),),
        "thresholds": {"faithfulness": 0.5},
        "seconds": {"generate": 1.0 + (value or 0)},
        "tokens": {"generate": Tokens(100, 10, 20)},
        **changes,
    }
    return Evaluation(**given)


def run(name, evaluations, notes=(), **settings) -> Run:
    return Run(name, RunHeader(), (pipeline(**settings), JUDGE), tuple(evaluations), notes)


def small() -> Comparison:
    after = [
        evaluation("a"),
        evaluation("b", 0.1, OTHER, text="Three."),
        evaluation("c", 0.9),
        evaluation("n"),
    ]
    before = [evaluation("a"), evaluation("b"), evaluation("c", 0.2, text="None."), evaluation("o")]
    found = compare(run("new", after, top_k=4), run("main", before, ("half",), top_k=8))
    # What the bounds are is the statistics' matter.
    rows = [replace(row, difference=replace(row.difference, low=-0.5, high=0.625)) for row in found.gate.rows]
    return replace(found, gate=replace(found.gate, rows=tuple(rows)))


def hostile(text=HOSTILE, count=1) -> Comparison:
    """Return a comparison in which everything that can be text is `text`."""
    context = Context(text, text, 1, 0, 10)

    def made(value, n, said):
        reason = None if value is not None else text
        score = Score(text, value, reason, evidence=text, claims=(ClaimScore(text, value, closest=context),))
        return evaluation(
            question=Question(f"{n}{text}", text, text, (Source(text),), (text,)),
            pipeline=text, answer=Answer(text + said, (context,)), scores=(score,), thresholds={text: 0.5},
            seconds={text: 1.0}, tokens={text: Tokens(1, 1, 1)},
        )  # fmt: skip

    values = [(0.1, 0.9), (0.9, 0.1), (None, 0.9)]
    sides = []
    for side in (0, 1):
        evaluations = [
            made(pair[side], f"{n}.{m}", str(side)) for n in range(count) for m, pair in enumerate(values)
        ]
        evaluations.append(made(0.9, f"only{side}", ""))
        evaluations.append(replace(made(None, "e", ""), answer=None, scores=(), error=text))
        components = (ComponentInfo("pipeline", text, "a" * 64, {text: f"{text}{side}"}), JUDGE)
        sides.append(
            Run(
                text,
                header_from_json({"versions": {text: f"{text}{side}"}}),
                components,
                tuple(evaluations),
                (text,),
            )
        )
    return compare(*sides)


# --- terminal ---


def test_the_terminal():
    """Verdict first, notes, table, power, flips, lists, changes, costs."""
    assert comparison_lines(small(), width=100) == [
        "INCONCLUSIVE: whether new is worse than main by 0.05 cannot be told",
        "- main: half",
        "- 1 question is in the baseline and not in the run: o",
        "- 1 question is in the run and not in the baseline: n",
        "",
        "verdict       pipeline  metric        n  before  after  change     90 % interval  p (Holm)",
        "INCONCLUSIVE  one       pass_rate     3   0.667  0.667  +0.000  -0.500 to +0.625     1.000",
        "INCONCLUSIVE  one       faithfulness  3   0.667  0.633  -0.033  -0.500 to +0.625     1.000",
        "so few questions could not have shown any drop with 80 % power",
        "",
        "newly failing: 1",
        "  b [one]: How many b?",
        "    before: passed: faithfulness 0.90",
        '      "Two."',
        "    now: failed: faithfulness 0.10",
        '      "Three."',
        "    breach: faithfulness 0.10 < 0.50",
        '    claim: "Three." (0.10; closest: a.md p.4 0-100)',
        "    stage: not in the contexts",
        "    contexts: 1 lost (a.md p.4 0-100), 1 gained (a.md 500-600)",
        "",
        "fixed: 1",
        "  c [one]: How many c?",
        "    before: failed: faithfulness 0.20",
        '      "None."',
        "    now: passed: faithfulness 0.90",
        '      "Two."',
        "    breach: faithfulness 0.20 < 0.50",
        '    claim: "None." (0.20; closest: a.md p.4 0-100)',
        "    stage: contradicted",
        "    contexts: the same",
        "",
        "only in the run: 1",
        "  one n",
        "",
        "only in the baseline: 1",
        "  one o",
        "",
        "what changed:",
        "  configuration",
        "    one.top_k: 8 -> 4",
        "",
        "contexts changed: 1 of 3 questions",
        "  one b: 1 lost (a.md p.4 0-100), 1 gained (a.md 500-600)",
        "",
        "pipeline  stage     s/question before  after  tokens/question before  after",
        "one       generate               1.67   1.63                     120    120",
        "one       all                    1.67   1.63                     120    120",
    ]


@pytest.mark.parametrize("width", [20, 40, 80, 100, 200])
def test_no_wider_than_the_terminal(width):
    """Whatever is in it: words longer than a line, wide characters, control characters."""
    for text in (HOSTILE, "x" * 300, "専門家は何人ですか" * 40, "e\u0301" * 200):
        for line in comparison_lines(hostile(text), width=width):
            assert display_width(line) <= width
            assert line.isprintable()


def test_long_answers_are_cut():
    before, after = evaluation("a"), evaluation("a", 0.1, text="long " * 500)
    lines = comparison_lines(compare(run("new", [after]), run("main", [before])), width=10_000)
    assert f'      "{("long " * 80)[:399]}…"' in lines


def test_the_gate_alone():
    """As the end of a pytest session has it, with and without a bound."""
    gate = small().gate
    assert baseline_lines(gate, width=None)[0].text == "compared with main:"
    assert [line.text for line in baseline_lines(gate)[1:]] == [
        line for line in comparison_lines(small(), width=100)[1:9] if line
    ]  # fmt: skip
    assert max(len(line.text) for line in baseline_lines(gate, width=40)) <= 40
    empty = compare(run("new", []), run("main", [])).gate
    assert baseline_lines(empty) == [Line("compared with main:"), Line("- nothing to compare")]


def test_long_lists_are_counted():
    """What has no answer of its own is listed by its first twenty."""
    many = [evaluation(f"q{n:02}") for n in range(30)]
    lines = comparison_lines(compare(run("new", many), run("main", [evaluation("a")])))
    at = lines.index("only in the run: 30")
    assert lines[at + 1] == "  one q00"
    assert lines[at + 20 : at + 22] == ["  one q19", "  and 10 more"]


def test_nothing_to_compare():
    lines = comparison_lines(compare(run("new", []), run("main", [])))
    assert lines == [
        "INCONCLUSIVE: whether new is worse than main by 0.05 cannot be told",
        "- nothing to compare",
        "",
        "newly failing: none",
        "",
        "fixed: none",
        "",
        "what changed: nothing that the runs tell of",
    ]


# --- Markdown ---


def test_markdown():
    text = comparison_markdown(small())
    assert text.startswith(
        "## INCONCLUSIVE: whether `new` is worse than `main` by 0.05 cannot be told\n\n- `main: half`\n"
    )
    assert (
        "| INCONCLUSIVE | `one` | `pass_rate` | 3 | 0.667 | 0.667 | +0.000 | -0.500 to +0.625 | 1.000 |"
        in text
    )
    assert (
        "### Newly failing: 1\n\n"
        "- `b` [`one`]: `How many b?`\n"
        "  - before, `passed: faithfulness 0.90`: `Two.`\n"
        "  - now, `failed: faithfulness 0.10`: `Three.`\n"
        "  - breach: `faithfulness 0.10 < 0.50`\n"
        '  - claim: `"Three." (0.10; closest: a.md p.4 0-100)`\n'
        "  - stage: not in the contexts\n"
        "  - contexts: `1 lost (a.md p.4 0-100), 1 gained (a.md 500-600)`\n"
    ) in text
    assert "### What changed: 1\n\n| what | name | before | after |\n" in text
    assert "| `configuration` | `one.top_k` | 8 | 4 |" in text
    heads = [line for line in text.splitlines() if line.startswith("###")]
    assert [head.partition(":")[0] for head in heads] == [
        "### Newly failing", "### Fixed", "### What changed", "### Only in the run",
        "### Only in the baseline", "### Contexts changed", "### Latency and tokens",
    ]  # fmt: skip


def spoken(markdown: str) -> str:
    """Return what is outside of code spans, as CommonMark reads them: equally long runs of backticks."""
    return re.sub(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", "", markdown)


def test_hostile_text_stays_text():
    """Nothing that a document, a model or a file says is outside of a code span, or begins a block."""
    runs = [run("new", [evaluation("a", 0.1, text=HOSTILE)], (HOSTILE,))]
    for text in (comparison_markdown(hostile()), *(run_markdown(one, [HOSTILE, "PASS"]) for one in runs)):
        outside = spoken(text)
        for piece in (
            "<",
            ">",
            "@",
            "#1",
            "http",
            "www",
            "evil",
            "![",
            "](",
            "Heading",
            "\x1b",
            "\u202e",
            "`",
        ):
            assert piece not in outside.replace("&lt;", ""), piece
        assert all(line == "" or line.isprintable() for line in text.splitlines())
        for line in text.splitlines():
            assert re.match(r"(#{2,3} |- |  - |\| |$)|smallest|so few", line), line
        tables = [line for line in text.splitlines() if line.startswith("|")]
        # A bar within a cell would make one more of it.
        assert {line.count("|") for line in tables} <= {10, 5, 7, 6}


def test_a_parser_of_markdown_agrees():
    """Texts of the worst characters, read by a parser: code spans, and nothing else that we did not write."""
    markdown_it = pytest.importorskip("markdown_it")
    parser = markdown_it.MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    ours = {"inline", "text", "code_inline", "softbreak"}
    ours |= {f"{name}_{side}" for side in ("open", "close") for name in (
        "td", "th", "tr", "table", "thead", "tbody", "paragraph", "heading", "list_item", "bullet_list"
    )}  # fmt: skip
    random = Random(1)
    for _ in range(20):
        text = "".join(random.choices("`|\\<>@#[]()!*_~ \n\r\tab1.-+:/&;'\"$", k=random.randint(1, 25)))
        tokens = parser.parse(comparison_markdown(hostile(text)))
        found = {token.type for outer in tokens for token in (outer, *(outer.children or ()))}
        assert found <= ours, text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("plain", "`plain`"),
        ("a `b` c", "`` a `b` c ``"),
        ("```x", "```` ```x ````"),
        ("`", "`` ` ``"),
        ("", "(nothing)"),
        (" \n ", "(nothing)"),
        ("a\n# b", "`a # b`"),
        ("x" * 1834, f"`{'x' * 600}` … 1,234 more characters in records.jsonl"),
    ],
)
def test_quoted(text, said):
    assert code_span(text) == said


@pytest.mark.parametrize("count", [0, 1, 80])
def test_markdown_is_never_too_long(count):
    """Failing questions first; how many are left out is said."""
    for text in ("word " * 400, "`" * 2000, "専" * 3000):
        comparison = hostile(text, count) if count else compare(run("new", []), run("main", []))
        given = comparison_markdown(comparison)
        assert len(given) < LIMIT
        if count == 80:
            assert re.search(r"- … [0-9]{2} more newly failing questions in records.jsonl", given)
            assert given.index("### Newly failing") < given.index("### Fixed")
        sides = run("new", [after for _, after in comparison.pairs], (text,) * 100)
        assert len(run_markdown(sides, [text] * 100)) < LIMIT


def test_many_failing_questions_fill_the_comment():
    """The room that other parts leave is theirs."""
    after = [evaluation(f"q{n}", 0.1) for n in range(5_000)]
    given = comparison_markdown(
        compare(run("new", after), run("main", [evaluation(f"q{n}") for n in range(5_000)]))
    )
    assert LIMIT - 2_000 < len(given) < LIMIT


def test_a_run_without_a_baseline():
    broken = evaluation("c", answer=None, scores=(), error="OSError: no disk")
    given = run(
        "new", [evaluation("a"), evaluation("b", 0.1, OTHER), broken, evaluation("d", None)], ("half",)
    )
    assert run_markdown(given, ["", "PASS  faithfulness.mean >= 0.5"]) == (
        "## Run `new`: 2 of 4 evaluations failed\n\n"
        "- `half`\n\n"
        "- `PASS faithfulness.mean >= 0.5`\n\n"
        "| pipeline | evaluations | passed | failed | unscored | `faithfulness` |\n"
        "| --- | --- | --- | --- | --- | --- |\n"
        "| `one` | 4 | 1 | 2 | 1 | 0.50 |\n\n"
        "### Failing: 2\n\n"
        "- `b` [`one`]: `How many b?`\n"
        "  - `failed: faithfulness 0.10`: `Two.`\n"
        "  - breach: `faithfulness 0.10 < 0.50`\n"
        '  - claim: `"Two." (0.10; closest: a.md p.4 0-100)`\n'
        "  - stage: not in the contexts\n"
        "- `c` [`one`]: `How many c?`\n"
        "  - `error`: no answer: `OSError: no disk`\n"
        "  - breach: `pipeline one raised OSError: no disk`\n\n"
        "### Unscored: 1\n\n"
        "- `d` [`one`]: `How many d?`: `faithfulness unscored: no key`\n"
    )
    assert run_markdown(run("new", [])) == "## Run `new`: 0 of 0 evaluations failed\n\n### Failing: 0\n"


# --- JSON ---


def test_json():
    """Everything is in it, each part on a line of its own."""
    comparison = small()
    text = comparison_json(comparison)
    whole = json.loads(text)
    assert list(whole) == [
        "type", "schema", "run", "base", "verdict", "margin", "detectable", "notes", "rows", "flips", "added",
        "removed", "changes", "retrieval", "costs", "pairs",
    ]  # fmt: skip
    assert len(text.splitlines()) == len(whole) + 2
    assert (whole["type"], whole["run"], whole["base"], whole["verdict"]) == (
        "comparison", "new", "main", "INCONCLUSIVE",
    )  # fmt: skip
    row = whole["rows"][0]
    assert (row["metric"], row["tag"], row["difference"]["count"]) == ("pass_rate", None, 3)
    flip = whole["flips"][0]
    assert (flip["question_id"], flip["is_fixed"], flip["stage"]) == ("b", False, "not in the contexts")
    assert flip["after"] == json.loads(json.dumps(evaluation_to_json(comparison.flips[0].after)))
    assert whole["changes"] == [{"what": "configuration", "path": "one.top_k", "before": "8", "after": "4"}]
    assert whole["retrieval"][0]["gained"][0]["start"] == 500
    assert whole["costs"][0]["stage"] == "generate"
    assert [pair["after"]["question_id"] for pair in whole["pairs"]] == ["a", "b", "c"]
    assert [e["question_id"] for e in whole["added"]] == ["n"]


def test_json_holds_what_no_text_may():
    """Halves of surrogate pairs and control characters come back as they were."""
    whole = json.loads(comparison_json(hostile("a\udcff\x1b\u2028")))
    assert whole["added"][0]["question"] == "a\udcff\x1b\u2028"


def test_the_same_input_gives_the_same_bytes():
    """In every form."""
    for form in (comparison_lines, comparison_markdown, comparison_json):
        assert form(small()) == form(small())
