"""Terms for BM25: words of any script, without endings and function words."""

# ruff: noqa: RUF001 - texts of other scripts

from __future__ import annotations

from typing import get_args

import pytest
from rag_evals.rag.config import Language
from rag_evals.rag.retrieval.text.terms import SNOWBALL, endless, function_words, language_for, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("How many experts has Mixtral 8x7B?", ["how", "many", "experts", "has", "mixtral", "8x7b"]),
        ("snake_case, https://example.org/a-b", ["snake", "case", "https", "example", "org", "a", "b"]),
        ("1,024 tokens, 12.9B, 1,5 and 3,000,000", ["1024", "tokens", "12.9b", "1,5", "and", "3000000"]),
        ("Größe STRASSE naïve nai\u0308ve", ["grösse", "strasse", "naïve", "naïve"]),
        ("ﬁne ＡＢＣ soft\u00adhyphen", ["fine", "abc", "softhyphen"]),
        ("Сколько экспертов?", ["сколько", "экспертов"]),
        ("مُحَمَّد كتـــب", ["محمد", "كتب"]),
        ("עִבְרִית", ["עברית"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("专家混合模型 MoE", ["专家", "家混", "混合", "合模", "模型", "moe"]),
        ("水", ["水"]),
        ("データを見る", ["デー", "ータ", "タを", "を見", "見る"]),
        ("ใครเขียน", ["ใค", "คร", "รเ", "เข", "ขี", "ีย", "ยน"]),
        ("대학교는 좋다", ["대학", "학교", "교는", "좋다"]),
        ("", []),
        (" -- !? \n", []),
    ],
)
def test_words(text, words):
    """Words are folded and whole; where no blanks part them, each pair of letters stands for one."""
    assert words_of(text) == words


def test_endings():
    """Words are compared without the endings of their language."""
    assert endless(["experts", "routing", "routed"], "english") == ["expert", "rout", "rout"]
    assert endless(["häusern", "häuser"], "german") == ["haus", "haus"]
    assert endless(["экспертов", "эксперты"], "russian") == ["эксперт", "эксперт"]
    assert endless(["experts", "routing"], "none") == ["experts", "routing"]


def test_every_language_is_known():
    """What can be set is what Snowball has, and what the language of a text may come to."""
    from Stemmer import algorithms

    named = set(get_args(Language)) - {"auto", "none"}
    assert named == set(SNOWBALL.values())
    assert named <= set(algorithms())


def test_function_words():
    """They are known of a language that the library lists them of."""
    assert {"where", "can", "i", "the", "what"} <= function_words("english")
    assert {"wo", "kann", "ich"} <= function_words("german")
    assert function_words("czech") == function_words("none") == frozenset()


def test_the_language_of_most_texts():
    english, german = (
        "The router sends each token to two experts.",
        "Der Router wählt zwei Experten für jedes Wort.",
    )
    assert language_for([english, german, english]) == "english"
    assert language_for([german, english, german, german]) == "german"
    assert language_for(["路由器把每个词元发送给两个专家。"]) == "none"
    assert language_for(["42", "---"]) == "none"
    assert language_for([]) == "none"
