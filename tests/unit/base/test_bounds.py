"""Small files that would come to endless values, or nest without end, are refused in one line."""

from __future__ import annotations

import json
import time

import pytest
from rag_evals.evals.base.bounds import DEEPEST, parse_json
from rag_evals.evals.base.errors import QuestionFileError
from rag_evals.evals.questions.load import load_questions
from rag_evals.rag.config.tables import read_toml
from rag_evals.rag.errors import ConfigError

# Nine lists of nine, each of the one before: 3.5 thousand million values in 400 bytes.
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


def nested(depth: int, opening: str = "[", closing: str = "]") -> str:
    return opening * depth + closing * depth


@pytest.mark.parametrize("depth", [1, DEEPEST])
def test_what_people_write(depth):
    """Whatever is a hundred levels deep or less is read."""
    assert parse_json(nested(depth)) == json.loads(nested(depth))


@pytest.mark.parametrize("depth", [DEEPEST + 1, 450, 100_000])
@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_too_deep_json(depth, pair):
    """Deeper is an error like any other, whether Python's parser could read it or not."""
    text = nested(depth, *pair).replace(":}", ":1}", 1)
    with pytest.raises(ValueError, match=r"^nested more than 100 deep$"):
        parse_json(text)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.yaml", f"- id: a\n  question: b\n  provenance: {nested(100_000)}\n", "nested more than 100 deep"),
        ("q.yaml", "- " * 5000 + "a\n", "nested more than 100 deep"),
        ("q.yaml", ALIASES, "its aliases come to more than 1,000,000 values"),
        (
            "q.jsonl",
            f'{{"id": "a", "question": "b", "provenance": {{"a": {nested(450)}}}}}',
            ":1: nested more",
        ),
        (
            "q.json",
            f'[{{"id": "a", "question": "b", "provenance": {{"a": {nested(450)}}}}}]',
            ":1: nested more",
        ),
        ("q.jsonl", f'{{"id": "a", "question": "b", "n": {"9" * 5000}}}', ":1: a whole number has more than"),
    ],
)
def test_question_files(tmp_path, name, text, message):
    """One line names the file, at once."""
    (tmp_path / name).write_text(text)
    start = time.process_time()
    with pytest.raises(QuestionFileError) as caught:
        load_questions([tmp_path / name])
    assert message in str(caught.value)
    assert time.process_time() - start < 5


def test_aliases_that_people_use(tmp_path):
    """An anchor for what several questions share is fine."""
    text = "- &one {id: a, question: b, tags: &tags [x, y]}\n- {id: c, question: d, tags: *tags}\n"
    (tmp_path / "q.yaml").write_text(text)
    assert [question.tags for question in load_questions([tmp_path / "q.yaml"])] == [("x", "y")] * 2


def test_configuration(tmp_path):
    """A TOML file that nests without end is refused with its name."""
    (tmp_path / "a.toml").write_text(f"a = {nested(100_000)}")
    with pytest.raises(ConfigError, match=r"^a\.toml: not TOML: nested too deeply$"):
        read_toml(tmp_path / "a.toml", "a.toml")


def test_numbers_without_end(tmp_path):
    """A number that nothing can compute with is refused, in JSON and in YAML."""
    entry = '"id": "a", "question": "b", "thresholds": {"relevancy": ' + "1" * 400 + "}"
    for name in ("q.jsonl", "q.yaml"):
        file = tmp_path / name
        file.write_text(f"{{{entry}}}\n")
        with pytest.raises(QuestionFileError):
            load_questions([file])
