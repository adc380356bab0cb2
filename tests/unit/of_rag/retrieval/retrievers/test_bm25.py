"""BM25: who is found, in what order, and that it is the same in every process."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from rag_evals.rag.retrieval.retrievers.bm25 import BM25, BM25Settings

ROOT = Path(__file__).parents[5]
TEXTS = [
    "The router sends each token to two of eight experts.",
    "A gate scores every expert, and the two highest are kept.",
    "Where can I read about volcanoes? The i-th chapter can tell.",
    "Bread wants flour, water and salt.",
]


def found(query: str, texts: list[str] | None = None, most: int = 9, **settings: Any) -> list[int]:
    scores = BM25.of(TEXTS if texts is None else texts, BM25Settings(**settings))
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
    ((number, score),) = BM25.of(texts, BM25Settings(1.2, 0.5, "none")).search("red", 9)
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
    scores = BM25.of([*german, TEXTS[3]], BM25Settings())
    assert scores.language == "german"
    assert [number for number, _ in scores.search("Wann wurde das Haus gebaut?", 1)] == [1]
    assert scores.search("Wer ist das?", 9) == []


RANK = """
from pathlib import Path
from rag_evals.rag.retrieval.retrievers.bm25 import BM25, BM25Settings
lines = Path("fixtures/corpus/primer.md").read_text().splitlines()
print(BM25.of(lines, BM25Settings()).search("Which experts does the router choose for a token?", 40))
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


def test_a_table_that_is_kept(tmp_path):
    """What is read finds the same as what was made, to the last digit; there is one file, and it is whole."""
    made = BM25.of([*TEXTS, "路由器把每个词元发送给两个专家。"], BM25Settings())
    file = tmp_path / "x.bm25"
    made.save(file, ["a", "b", "c", "d", "e"])
    read, ids = BM25.load(file)
    assert ids == ["a", "b", "c", "d", "e"]
    assert read.language == made.language
    for query in ("experts and tokens", "专家", "Where can I?", "nothing"):
        assert read.search(query, 9) == made.search(query, 9)
    assert list(tmp_path.iterdir()) == [file]


def test_a_table_of_nothing_is_kept(tmp_path):
    BM25.of([""], BM25Settings()).save(tmp_path / "x.bm25", ["a"])
    read, ids = BM25.load(tmp_path / "x.bm25")
    assert (read.search("x", 9), ids) == ([], ["a"])
