"""The language of a text: of questions and answers, and where it does not show."""

# ruff: noqa: RUF001 - stops of every kind end questions

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from rag_evals.rag.retrieval.text.language import LANGUAGES, language_of

LABELS = Path(__file__).parents[5].joinpath("fixtures/labels/languages.jsonl")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("How many experts does the router pick?", "en"),
        ("Wie lange ist die Kündigungsfrist?", "de"),
        ("Quel est le préavis pour les salariés ?", "fr"),
        ("¿Cuándo cierra el museo?", "es"),
        ("员工辞职要提前多久通知？", "zh"),
        ("博物館の休館日はいつですか。", "ja"),
        ("संग्रहालय कब बंद रहता है?", "hi"),
        ("متى يغلق المتحف؟", "ar"),
        ("", None),
        ("42 % (8x7)", None),
    ],
)
def test_the_language_of_a_question(text, code):
    """It is told by letters and words, and of numbers there is none."""
    assert language_of(text) == code


def test_the_labelled_answers_are_in_seven_languages():
    """Twenty each, half of them faithful; the language of nearly every question and answer shows."""
    entries = [json.loads(line) for line in LABELS.read_text("utf-8").splitlines()]
    for code in ("ar", "de", "es", "fr", "hi", "ja", "zh"):
        ours = [entry for entry in entries if entry["kind"] == code]
        assert (len(ours), sum(entry["faithful"] for entry in ours)) == (20, 10)
        assert all(language_of(f"{entry['question']} {entry['answer']}") == code for entry in ours)
        assert code in LANGUAGES


def test_english_loads_no_model():
    """What shows by its words costs no half second."""
    code = (
        "import sys; from rag_evals.rag.retrieval.text.language import language_of; "
        "assert language_of('How many experts are there?') == 'en'; assert 'py3langid' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
