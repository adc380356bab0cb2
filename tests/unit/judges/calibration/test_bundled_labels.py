"""The bundled labels: answers about the primer, each known to be faithful or not."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from rag_evals.evals.judges.calibration.labels.examples import load_labels
from rag_evals.evals.judges.calibration.set_figures import floors_of
from rag_evals.fixtures.corpus import build as corpus

FIXTURES = Path(corpus.__file__).parents[1]
KEYS = ["id", "question", "contexts", "answer", "faithful", "relevant", "kind", "source"]
FAITHFUL = {"other_words", "close_words", "inference", "part", "long"}
UNFAITHFUL = {
    "swapped_number",
    "swapped_entity",
    "over_general",
    "unsupported_addition",
    "wrong_relation",
    "wrong_inference",
}


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def plain(markdown: str) -> str:
    """The prose of the primer: no headings, tables, captions, comments, list marks or asterisks."""
    body = markdown.split("\n## References\n", maxsplit=1)[0]
    prose = [line for line in body.splitlines() if not re.match(r"#|\||<!--|\*(Table|Figure) ", line)]
    return " ".join(" ".join(re.sub(r"^(- |\d+\. )", "", line).replace("*", "") for line in prose).split())


def content_words(text: str) -> list[str]:
    return [word for word in re.findall(r"\w+", text.lower()) if len(word) > 3]


def shared(words: str, text: str) -> float:
    """The share of the content words of `words` that occur in `text`."""
    wanted, given = content_words(words), set(content_words(text))
    return sum(word in given for word in wanted) / len(wanted) if wanted else 1.0


def auroc(truth: list[int], scores: list[float]) -> float:
    from sklearn.metrics import roc_auc_score

    return float(roc_auc_score(truth, scores))


@pytest.fixture(scope="module")
def labels() -> list[dict[str, Any]]:
    """All labelled items."""
    return read_lines(FIXTURES / "labels" / "primer.jsonl")


@pytest.fixture(scope="module")
def questions() -> list[dict[str, Any]]:
    """The questions of the suite."""
    return [item for path in sorted((FIXTURES / "questions").glob("*.jsonl")) for item in read_lines(path)]


def test_items_have_the_same_keys_and_unique_ids(labels: list[dict[str, Any]]) -> None:
    """There are 120 items or more, each with every key in the same order, and an id names one of them."""
    assert len(labels) >= 120
    assert [item["id"] for item in labels if list(item) != KEYS] == []
    assert [name for name, count in Counter(item["id"] for item in labels).items() if count > 1] == []


def test_labels_are_balanced(labels: list[dict[str, Any]]) -> None:
    """Half of the answers are faithful, and each half has 30 answers or more beside the question."""
    counts = Counter((item["faithful"], item["relevant"]) for item in labels)
    assert set(counts) == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert counts[0, 0] + counts[0, 1] == counts[1, 0] + counts[1, 1]
    assert min(counts.values()) >= 30


def test_every_kind_is_there_and_says_the_label(labels: list[dict[str, Any]]) -> None:
    """The kinds of faithful answers and those of unfaithful ones do not mix."""
    assert {item["kind"] for item in labels if item["faithful"]} == FAITHFUL
    assert {item["kind"] for item in labels if not item["faithful"]} == UNFAITHFUL


def test_sources_are_many_and_have_both_labels(labels: list[dict[str, Any]]) -> None:
    """No part of the primer is all true or all false: the labels of a source differ by one item at most."""
    counts = Counter((item["source"], item["faithful"]) for item in labels)
    sources = {source for source, _ in counts}
    assert len(sources) >= 20
    assert [name for name in sorted(sources) if abs(counts[name, 0] - counts[name, 1]) > 1] == []


def test_contexts_are_verbatim(labels: list[dict[str, Any]]) -> None:
    """A context is one to four passages of the primer, each of 60 to 170 words and of whole sentences."""
    text = plain(corpus.SOURCE.read_text(encoding="utf-8"))
    assert {len(item["contexts"]) for item in labels} <= {1, 2, 3, 4}
    contexts = {context for item in labels for context in item["contexts"]}
    assert [context for context in contexts if context not in text] == []
    assert [context for context in contexts if not 60 <= len(context.split()) <= 170] == []
    assert [context for context in contexts if not re.fullmatch(r"[A-Z].*\.", context)] == []


def test_nothing_is_shared_with_the_suite(
    labels: list[dict[str, Any]], questions: list[dict[str, Any]]
) -> None:
    """A judge that was tuned on the labels has seen no question and no right answer of the suite."""
    asked = {question["question"].casefold() for question in questions}
    known = {question["reference"].casefold() for question in questions if "reference" in question}
    assert [item["id"] for item in labels if item["question"].casefold() in asked] == []
    assert [item["id"] for item in labels if item["answer"].casefold() in known] == []


def test_overlap_and_length_do_not_tell_faithfulness(labels: list[dict[str, Any]]) -> None:
    """Neither counting shared words nor counting words is a judge."""
    truth = [item["faithful"] for item in labels]
    overlap = [shared(item["answer"], " ".join(item["contexts"])) for item in labels]
    length = [float(len(item["answer"].split())) for item in labels]
    assert 0.4 < auroc(truth, overlap) < 0.6
    assert 0.4 < auroc(truth, length) < 0.6


def test_overlap_and_length_do_not_tell_relevance(labels: list[dict[str, Any]]) -> None:
    """Repeating the words of the question does not make an answer relevant, nor does being short."""
    truth = [item["relevant"] for item in labels]
    overlap = [shared(item["answer"], item["question"]) for item in labels]
    length = [float(len(item["answer"].split())) for item in labels]
    assert 0.3 < auroc(truth, overlap) < 0.7
    assert 0.4 < auroc(truth, length) < 0.6


@pytest.mark.parametrize(
    ("name", "metric", "wrong", "sources"),
    [
        ("correctness", "correctness", 50, 25),
        ("context_relevancy", "context_relevancy", 60, 20),
        ("context_recall", "context_recall", 50, 25),
        ("refusal", "refusal", 50, 25),
    ],
)
def test_labels_of_the_other_metrics(name, metric, wrong, sources):
    """A hundred labels of each, both classes in each source, and length alone does not tell them apart."""
    examples = load_labels(FIXTURES / "labels" / f"{name}.jsonl")
    labels = [example.label_for(metric) for example in examples]
    assert (len(labels), labels.count(0)) == (100, wrong)
    by_source: dict[str, set[int | None]] = {}
    for example, label in zip(examples, labels, strict=True):
        by_source.setdefault(example.source, set()).add(label)
    assert len(by_source) == sources
    assert set(map(len, by_source.values())) == {2}
    brevity = [floors_of(metric, example)["brevity"] for example in examples]
    assert 0.4 < auroc([label or 0 for label in labels], brevity) < 0.65


def test_no_text_of_the_other_metrics_stands_twice():
    """An answer, a context or a reference that stood twice would count twice."""
    for name, key in (("correctness", "answer"), ("refusal", "answer"), ("context_recall", "reference")):
        lines = read_lines(FIXTURES / "labels" / f"{name}.jsonl")
        twice = [text for text, count in Counter(line[key] for line in lines).items() if count > 1]
        assert twice == []
