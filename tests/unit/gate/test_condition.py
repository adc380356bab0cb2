"""Conditions: one text for all spellings, and errors that point at the character."""

from __future__ import annotations

import pytest
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.gate.condition import MEASURES, Condition, ConditionError, parse_condition

KNOWN = "mean, median, min, max, pass_rate and p1 to p99"


def problem(text: str) -> tuple[str, str]:
    """Return what is said of a text, and the part of it from the caret on."""
    with pytest.raises(ConditionError) as caught:
        parse_condition(text)
    headline, shown, caret = str(caught.value).split("\n")
    assert shown == f"  {text}"
    assert caret.strip() == "^"
    place = caret.index("^") - 2
    start = f"condition {text!r}, character {place + 1}: "
    assert headline.startswith(start)
    return headline.removeprefix(start), text[place:]


def test_a_condition_is_read_into_its_parts() -> None:
    assert parse_condition("[baseline, tag:numbers, tag:short] faithfulness.p10 >= 0.85") == Condition(
        text="[baseline, tag:numbers, tag:short] faithfulness.p10 >= 0.85",
        pipeline="baseline",
        tags=("numbers", "short"),
        measure="faithfulness",
        statistic="p10",
        is_at_least=True,
        bound=0.85,
    )


def test_without_a_scope_it_is_about_every_pipeline() -> None:
    condition = parse_condition("latency.p95 < 20s")
    assert (condition.pipeline, condition.tags) == (None, ())
    assert (condition.is_at_least, condition.is_strict, condition.bound) == (False, True, 20.0)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("pass_rate>=90%", "pass_rate >= 0.9"),
        ("  pass_rate\t>=\n.90 ", "pass_rate >= 0.9"),
        ("coverage >= 95.5 %", "coverage >= 0.955"),
        ("faithfulness . mean > 0", "faithfulness.mean > 0"),
        ("faithfulness.pass_rate<=1.", "faithfulness.pass_rate <= 1"),
        ("relevancy.mean >= 0.0000001", "relevancy.mean >= 0.0000001"),
        ("latency.p95 <= 20", "latency.p95 <= 20s"),
        ("latency.mean <= 500 ms", "latency.mean <= 0.5s"),
        ("latency.max < 1.5min", "latency.max < 90s"),
        ("tokens.p99 <= 1000000", "tokens.p99 <= 1000000"),
        ("[tag:b,baseline ,tag: b, tag:a]coverage>=1", "[baseline, tag:b, tag:a] coverage >= 1"),
    ],
)
def test_all_spellings_have_one_text_which_reads_the_same(text: str, canonical: str) -> None:
    condition = parse_condition(text)
    assert condition.text == canonical
    assert parse_condition(canonical) == condition


def test_a_share_in_percent_is_the_same_number() -> None:
    assert parse_condition("coverage >= 95%").bound == 0.95
    assert parse_condition("coverage >= 29%").bound == 0.29


def test_both_directions_are_allowed_for_every_measure() -> None:
    for operator in (">=", "<=", ">", "<"):
        assert parse_condition(f"latency.mean {operator} 2s").is_strict is (len(operator) == 1)
        assert parse_condition(f"pass_rate {operator} 0.5").is_at_least is (operator[0] == ">")


@pytest.mark.parametrize(
    ("text", "quantile", "is_rate", "is_counted"),
    [
        ("relevancy.p5 >= 0.5", 0.05, False, False),
        ("relevancy.median >= 0.5", 0.5, False, False),
        ("relevancy.mean >= 0.5", None, False, False),
        ("relevancy.pass_rate >= 0.5", None, True, False),
        ("pass_rate >= 0.5", None, True, False),
        ("coverage >= 0.5", None, False, True),
        ("tokens.min >= 1", None, False, True),
        ("latency.max <= 1", None, False, True),
    ],
)
def test_what_a_condition_is_about(
    text: str, quantile: float | None, is_rate: bool, is_counted: bool
) -> None:
    condition = parse_condition(text)
    assert condition.quantile == quantile
    assert (condition.is_rate, condition.is_counted) == (is_rate, is_counted)


def test_the_text_for_a_pipeline_names_it() -> None:
    assert parse_condition("pass_rate >= 0.9").text_for("baseline") == "[baseline] pass_rate >= 0.9"
    tagged = parse_condition("[tag:a] pass_rate >= 0.9")
    assert tagged.text_for("baseline") == "[baseline, tag:a] pass_rate >= 0.9"
    assert tagged.text_for(None) == tagged.text


def test_the_whole_message() -> None:
    with pytest.raises(UsageError) as caught:
        parse_condition("faithfulness.mean => 0.85")
    assert str(caught.value) == (
        "condition 'faithfulness.mean => 0.85', character 19: expected one of >=, <=, >, <\n"
        "  faithfulness.mean => 0.85\n"
        "                    ^"
    )


@pytest.mark.parametrize(
    ("text", "said", "rest"),
    [
        (
            "faithfullness.mean >= 1",
            "unknown metric or measure 'faithfullness', did you mean 'faithfulness'?",
            "faithfullness.mean >= 1",
        ),
        ("[a] xyz >= 1", f"unknown metric or measure 'xyz': known are {', '.join(MEASURES)}", "xyz >= 1"),
        (">= 0.9", f"expected one of {', '.join(MEASURES)}", ">= 0.9"),
        (
            "correctness >= 0.9",
            "expected a statistic behind correctness, such as correctness.mean or correctness.p95",
            ">= 0.9",
        ),
        (
            "latency <= 20s",
            "expected a statistic behind latency, such as latency.mean or latency.p95",
            "<= 20s",
        ),
        ("pass_rate.mean >= 0.9", "pass_rate is one number: it has no statistic", ".mean >= 0.9"),
        ("coverage.p5 >= 0.9", "coverage is one number: it has no statistic", ".p5 >= 0.9"),
        ("relevancy. >= 0.9", f"expected a statistic: known are {KNOWN}", ">= 0.9"),
        ("relevancy.men >= 0.9", "unknown statistic 'men', did you mean 'mean'?", "men >= 0.9"),
        ("relevancy.p0 >= 0.9", f"unknown statistic 'p0': known are {KNOWN}", "p0 >= 0.9"),
        ("relevancy.p100 >= 0.9", f"unknown statistic 'p100': known are {KNOWN}", "p100 >= 0.9"),
        ("relevancy.p99.9 >= 0.9", "expected one of >=, <=, >, <", ".9 >= 0.9"),
        (
            "tokens.pass_rate >= 1",
            "unknown statistic 'pass_rate': known are mean, median, min, max and p1 to p99",
            "pass_rate >= 1",
        ),
        ("pass_rate = 0.9", "expected one of >=, <=, >, <", "= 0.9"),
        ("pass_rate", "expected one of >=, <=, >, <", ""),
        ("pass_rate >=", "expected a number, such as 0.85", ""),
        ("pass_rate >= -0.9", "expected a number, such as 0.85", "-0.9"),
        ("pass_rate >= nan", "expected a number, such as 0.85", "nan"),
        ("pass_rate >= 90", "pass_rate is from 0 to 1: write 0.85 or 85%", "90"),
        ("relevancy.mean >= 101%", "relevancy is from 0 to 1: write 0.85 or 85%", "101%"),
        ("pass_rate > 100%", "pass_rate is never above 1: this would always fail", "100%"),
        ("latency.mean < 0", "latency is never below 0: this would always fail", "0"),
        ("relevancy.mean >= 0.9s", "relevancy has no unit but %", "s"),
        ("tokens.mean <= 90%", "tokens has no unit", "%"),
        ("latency.p95 <= 20h", "unknown unit 'h' of latency: known are ms, s, min", "h"),
        ("latency.p95 <= 20%", "unknown unit '%' of latency: known are ms, s, min", "%"),
        ("tokens.max < " + 400 * "9", "this number is too large", 400 * "9"),
        ("pass_rate >= 0.9, coverage >= 1", "expected nothing more: one condition a line", ", coverage >= 1"),
        ("pass_rate >= 0.9.1", "expected nothing more: one condition a line", ".1"),
        (
            " [baseline pass_rate >= 0.9",
            "this bracket is not closed: write [PIPELINE], [tag:NAME] or both",
            "[baseline pass_rate >= 0.9",
        ),
        ("[] pass_rate >= 0.9", "expected the name of a pipeline, or tag:NAME", "] pass_rate >= 0.9"),
        ("[a, ] pass_rate >= 0.9", "expected the name of a pipeline, or tag:NAME", "] pass_rate >= 0.9"),
        ("[tag:] pass_rate >= 0.9", "expected a tag behind `tag:`", "] pass_rate >= 0.9"),
        (
            "[a, b] pass_rate >= 0.9",
            "a second pipeline, 'b': write a condition for each",
            "b] pass_rate >= 0.9",
        ),
        ("[a]", f"expected one of {', '.join(MEASURES)}", ""),
        ("", "there is nothing: write what the run is held to, such as pass_rate >= 0.9", ""),
        ("  ", "there is nothing: write what the run is held to, such as pass_rate >= 0.9", "  "),
    ],
)
def test_every_mistake_is_named_with_its_character(text: str, said: str, rest: str) -> None:
    assert problem(text) == (said, rest)


def test_a_text_cannot_drive_the_terminal_and_the_caret_stays_in_place() -> None:
    with pytest.raises(ConditionError) as caught:
        parse_condition("pass_rate\t>=\x1b[31m")
    assert str(caught.value) == (
        "condition 'pass_rate >=\\x1b[31m', character 13: expected a number, such as 0.85\n"
        "  pass_rate >=\N{REPLACEMENT CHARACTER}[31m\n"
        "              ^"
    )
