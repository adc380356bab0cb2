"""The checks that are there: of the text of an answer, its form, its language, and what it took."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rag_evals.evals.base.bounds import parse_json
from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.base.files import read_plain
from rag_evals.evals.base.messages import kind_name, short_repr
from rag_evals.evals.judges.criteria.check import Check, of_all
from rag_evals.evals.judges.criteria.criterion import Applies, is_answerable
from rag_evals.evals.judges.criteria.numerals import missing_numbers, numbers_of
from rag_evals.evals.questions.question import Question
from rag_evals.evals.runs.score import Score
from rag_evals.rag.answer import Answer
from rag_evals.rag.identity import digest
from rag_evals.rag.retrieval.text.language import LANGUAGES, language_of

MOST_SHOWN = 80  # characters of an answer in what is said of it
_FENCE = re.compile(r"\s*```[A-Za-z]*[ \t]*\n(.*?)\n?[ \t]*```\s*", re.DOTALL)


def contains(
    *texts: str, name: str = "contains", matches_case: bool = False, applies: Applies = is_answerable
) -> Check:
    """Return a check that an answer has each of `texts`, whatever its line breaks.

    Args:
        *texts: What it has to have.
        name: Name of the metric.
        matches_case: Whether capital letters count.
        applies: Tells whether it is asked of a question.

    Raises:
        UsageError: There is no text.
    """
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise UsageError(f"check {name}: contains{_arguments(texts)} says nothing: give the texts")

    def rule(question: Question, answer: Answer) -> Score:  # noqa: ARG001
        said = _one_line(answer.text, matches_case=matches_case)
        missing = [text for text in texts if _one_line(text, matches_case=matches_case) not in said]
        return _held(f"not in the answer: {', '.join(map(short_repr, missing))}" if missing else "")

    return Check(name, rule, applies, told={"contains": list(texts), "matches_case": matches_case})


def regex(pattern: str, flags: int = 0, *, name: str = "regex", applies: Applies = is_answerable) -> Check:
    """Return a check that `pattern` is found in an answer.

    Args:
        pattern: A regular expression as `re.search` takes it.
        flags: Its flags, such as `re.IGNORECASE`.
        name: Name of the metric.
        applies: Tells whether it is asked of a question.

    Raises:
        UsageError: It is no regular expression.
    """
    try:
        compiled = re.compile(pattern, flags)
    except (re.error, TypeError, ValueError) as error:
        raise UsageError(f"check {name}: {short_repr(pattern)} is no regular expression: {error}") from error

    def rule(question: Question, answer: Answer) -> Score:  # noqa: ARG001
        return _held("" if compiled.search(answer.text) else f"nothing in the answer matches {pattern}")

    return Check(name, rule, applies, told={"regex": pattern, "flags": int(flags)})


def numbers_match(
    *, name: str = "numbers_match", applies: Applies = is_answerable, threshold: float = 1.0
) -> Check:
    """Return a check that an answer has every number of the reference, in any notation (docs/criteria.md).

    The score is the share of them that it has. It is asked where the reference has a number.

    Args:
        name: Name of the metric.
        applies: Tells, besides, whether it is asked of a question.
        threshold: Least share that is no breach.
    """

    def has_numbers(question: Question) -> bool:
        return applies(question) and bool(numbers_of(question.reference or "", is_reference=True))

    def rule(question: Question, answer: Answer) -> Score:
        count = len(numbers_of(question.reference or "", is_reference=True))
        missing = missing_numbers(question.reference or "", answer.text)
        evidence = (
            f"not in the answer, of {count} in the reference: {', '.join(missing)}" if missing else None
        )
        return Score(name, 1.0 - len(missing) / count, evidence=evidence)

    return Check(name, rule, has_numbers, threshold=threshold, told={"numbers_match": 1})


def json_schema(
    schema: Mapping[str, Any] | str | Path, *, name: str = "json_schema", applies: Applies = of_all
) -> Check:
    """Return a check that an answer is JSON that fits `schema`; a Markdown fence around all of it may be.

    Args:
        schema: A JSON Schema, or the path of its file; what it refers to elsewhere is never fetched.
        name: Name of the metric.
        applies: Tells whether it is asked of a question.

    Raises:
        UsageError: It is no JSON Schema, or the package jsonschema is not installed.
    """
    schema = _read_schema(name, schema)
    validator = _validator_of(name, schema)

    def rule(question: Question, answer: Answer) -> Score:  # noqa: ARG001
        fenced = _FENCE.fullmatch(answer.text)
        text = fenced[1] if fenced else answer.text
        try:
            value = parse_json(text)
        except ValueError as error:
            return _held(f"the answer is no JSON ({error}): {short_repr(text, MOST_SHOWN)}")
        return _held(_misfit(validator, value))

    return Check(name, rule, applies, told={"json_schema": digest(schema)})


def max_seconds(seconds: float, *, name: str = "max_seconds", applies: Applies = of_all) -> Check:
    """Return a check that an answer took at most so many seconds, all stages together.

    Of an answer from the cache they are those that it took when it was made.

    Args:
        seconds: The most that it may take.
        name: Name of the metric.
        applies: Tells whether it is asked of a question.

    Raises:
        UsageError: It is no number above 0.
    """
    _check_most(name, seconds)

    def rule(question: Question, answer: Answer) -> Score:  # noqa: ARG001
        if not answer.seconds:
            return Score(name, None, reason="it is not known how long the answer took")
        took = sum(answer.seconds.values())
        return _held(f"the answer took {took:.1f} s, at most {seconds:g} s" if took > seconds else "")

    return Check(name, rule, applies, told={"max_seconds": seconds})


def max_tokens(count: int, *, name: str = "max_tokens", applies: Applies = of_all) -> Check:
    """Return a check that an answer has at most so many tokens, as its model counted what it wrote.

    Args:
        count: The most that it may have.
        name: Name of the metric.
        applies: Tells whether it is asked of a question.

    Raises:
        UsageError: It is no number above 0.
    """
    _check_most(name, count)

    def rule(question: Question, answer: Answer) -> Score:  # noqa: ARG001
        written = answer.total.generated
        if not written and answer.text.strip():
            return Score(name, None, reason="it is not known how many tokens the answer has")
        return _held(f"the answer has {written:,} tokens, at most {count:,}" if written > count else "")

    return Check(name, rule, applies, told={"max_tokens": count})


def language(code: str, *, name: str = "language", applies: Applies = of_all) -> Check:
    """Return a check that an answer shows no other language; "42" shows none.

    Args:
        code: Code of the language, such as `de`.
        name: Name of the metric.
        applies: Tells whether it is asked of a question.

    Raises:
        UsageError: It is none of those that are told apart.
    """
    if code not in LANGUAGES:
        known = ", ".join(LANGUAGES)
        raise UsageError(f"check {name}: unknown language {short_repr(code)}: known are {known}")

    def rule(question: Question, answer: Answer) -> Score:  # noqa: ARG001
        found = language_of(answer.text)
        return _held(
            "" if found in (code, None) else f"the answer is {LANGUAGES[found]}, not {LANGUAGES[code]}"
        )

    return Check(name, rule, applies, told={"language": code})


def _held(problem: str) -> Score:
    """Return the score of a rule that holds or does not; its name is put on it later."""
    return Score("", 0.0 if problem else 1.0, evidence=problem or None)


def _one_line(text: str, *, matches_case: bool) -> str:
    line = " ".join(text.split())
    return line if matches_case else line.casefold()


def _arguments(given: Iterable[object]) -> str:
    return f"({', '.join(map(short_repr, given))})"


def _check_most(name: str, most: object) -> None:
    is_number = isinstance(most, int | float) and not isinstance(most, bool)
    if not is_number or not most > 0:  # type: ignore[operator]
        raise UsageError(f"check {name}: at most {short_repr(most)}: give a number above 0")


def _read_schema(name: str, given: Mapping[str, Any] | str | Path) -> dict[str, Any]:
    if isinstance(given, Mapping):
        return dict(given)
    try:
        schema = parse_json(read_plain(Path(given)))
    except OSError as error:
        raise UsageError(f"check {name}: {given}: {error.strerror}") from error
    except ValueError as error:
        raise UsageError(f"check {name}: {given} is no JSON: {error}") from error
    if not isinstance(schema, dict):
        raise UsageError(f"check {name}: {given} is no JSON Schema but {kind_name(schema)}")
    return schema


def _validator_of(name: str, schema: Mapping[str, Any]) -> Any:
    try:
        from jsonschema.exceptions import SchemaError
        from jsonschema.validators import Draft202012Validator, validator_for
        from jsonschema_specifications import REGISTRY
    except ModuleNotFoundError as error:
        raise UsageError(
            f"check {name}: the package jsonschema is not installed: pip install 'rag-evals[checks]'"
        ) from error
    try:
        json.dumps(schema, allow_nan=False)
        kind = validator_for(schema, default=Draft202012Validator)
        kind.check_schema(schema)
    except (TypeError, ValueError) as error:
        raise UsageError(f"check {name}: the schema is no JSON: {error}") from error
    except SchemaError as error:
        raise UsageError(f"check {name}: no JSON Schema: {error.json_path}: {error.message}") from error
    # A registry of its own: what is not in it is not looked up elsewhere.
    return kind(schema, registry=REGISTRY)


def _misfit(validator: Any, value: object) -> str:
    """Return where a value does not fit, and why; nothing where it fits."""
    from jsonschema.exceptions import best_match

    error = best_match(validator.iter_errors(value))
    if error is None:
        return ""
    message = error.message if len(error.message) <= MOST_SHOWN else f"{error.message[: MOST_SHOWN - 1]}…"
    return f"the answer does not fit the schema: {error.json_path}: {message}"
