"""BM25: who is found, in what order, and that it is the same in every process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rag_evals.rag.retrieval.retrievers.bm25 import BM25

ROOT = Path(__file__).parents[5]
TEXTS = [
    "The router sends each token to two of eight experts.",
    "A gate scores every expert, and the two highest are kept.",
    "Where can I read about volcanoes? The i-th chapter can tell.",
    "Bread wants flour, water and salt.",
]


def found(query: str, texts: list[str] | None = None, most: int = 9, **settings: object) -> list[int]:
    scores = BM25(TEXTS if texts is None else texts, **{"k1": 1.5, "b": 0.75, **settings})
    return [number for number, _ in scores.search(query, most)]


def test_who_shares_a_word_is_found():
    """Endings do not count; what shares no word is not found, however few are."""
    assert found("How are experts routed?") == [0, 1]
    assert found("flours") == [3]
    assert found("basalt") == []
    assert found("experts", most=1) == [0]


def test_function_words_of_a_question_do_not_count():
    """They are rare in a text that asks nothing, and say nothing of what is asked."""
    assert found("Where can I find the salt?") == [3]
    assert found("Where can I find the salt?", language="none")[0] == 2
    assert found("Where can I?") == [2]


def test_scores_are_those_of_the_formula():
    """Lucene's form: the idf of each word times its saturated, length-normalised count."""
    texts = ["red red blue", "blue", "green green green green"]
    ((number, score),) = BM25(texts, k1=1.2, b=0.5, language="none").search("red", 9)
    idf = math.log(1 + (3 - 1 + 0.5) / (1 + 0.5))
    mean = (3 + 1 + 4) / 3
    assert number == 0
    assert score == pytest.approx(idf * 2 / (2 + 1.2 * (1 - 0.5 + 0.5 * 3 / mean)), rel=1e-6)


def test_equal_scores_come_in_the_order_of_the_texts():
    assert found("blue", ["blue sky", "red sky", "blue sky", "blue sky"], most=2) == [0, 2]


@pytest.mark.parametrize("texts", [[], [""], [" -- "], ["", ""]])
def test_nothing_to_find(texts):
    assert found("anything", texts) == []


@pytest.mark.parametrize("query", ["", " \n ", "?!", "\x00"])
def test_nothing_asked(query):
    assert found(query) == []


def test_scripts_without_blanks():
    """Two letters that stand beside each other in question and text are a word in common."""
    texts = [
        "路由器把每个词元发送给两个专家。",
        "面包需要面粉、水和盐。",
        "ขนมปังต้องใช้แป้ง น้ำ และเกลือ",
        "ルーターは二つの専門家を選ぶ。",
    ]
    assert found("有几个专家?", texts) == [0]
    assert found("面粉", texts) == [1]
    assert found("แป้งขนมปัง", texts) == [2]
    assert found("専門家はいくつ?", texts)[0] == 3


def test_the_language_is_that_of_most_texts():
    german = ["Der Bäcker lässt den Teig über Nacht ruhen.", "Die Häuser am Hafen wurden zuletzt gebaut."]
    scores = BM25([*german, TEXTS[3]], k1=1.5, b=0.75)
    assert scores.language == "german"
    assert [number for number, _ in scores.search("Wann wurde das Haus gebaut?", 1)] == [1]
    assert scores.search("Wer ist das?", 9) == []


RANK = """
from pathlib import Path
from rag_evals.rag.retrieval.retrievers.bm25 import BM25
lines = Path("fixtures/corpus/primer.md").read_text().splitlines()
print(BM25(lines, k1=1.5, b=0.75).search("Which experts does the router of Mixtral choose for a token?", 40))
"""


def test_the_same_in_every_process():
    """Scores do not hang on the seeds of hashes, to the last digit."""
    ran = [
        subprocess.run(
            [sys.executable, "-P", "-c", RANK],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert ran[0] == ran[1]
    assert ran[0].count("(") == 40
