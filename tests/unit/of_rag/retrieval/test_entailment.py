"""The entailment reader without a model: windows, labels by name, and when there is no verdict."""

from __future__ import annotations

from pathlib import Path

import pytest
from rag_evals.evals.judges.entailment import EntailmentScorer, context_windows
from rag_evals.evals.judges.judge import RawScores
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens
from rag_evals.rag.errors import ModelError
from rag_evals.rag.retrieval.entailment import (
    NLI,
    Entailment,
    Entailments,
    Labels,
    labels_of,
    load_entailment,
)

QUESTION = Question("experts", "How many experts?", reference="Two experts.")
HERE = Path("model")


def words(text: str) -> int:
    return len(text.split())


class FakeModel:
    """Finds that a text entails what it contains, and contradicts it when it says "not" before it."""

    def __init__(self, limit: int = 40, *, contradicts: bool = True) -> None:
        self.name, self.fingerprint, self.limit, self.form = "fake", "0", limit, NLI
        self.batches: list[list[tuple[str, str]]] = []
        self._contradicts = contradicts

    def count_tokens(self, text: str) -> int:
        return words(text)

    def read(self, pairs):
        self.batches.append(pairs)
        items = tuple(self._said(*pair) for pair in pairs)
        return Entailments(items, Tokens(evaluated=sum(words(one) + words(two) for one, two in pairs)))

    def _said(self, premise: str, claim: str) -> Entailment:
        against = 0.9 if f"not: {claim}" in premise else 0.05
        entailed = 0.8 if claim in premise and against < 0.5 else 0.1
        return Entailment(entailed, against if self._contradicts else None)


def read(metric: str, answer: Answer, model: FakeModel | None = None) -> RawScores:
    return EntailmentScorer(model or FakeModel()).read([metric], QUESTION, answer)[metric]


def cut(text: str, room: int) -> list[str]:
    return [window.text for window in context_windows(Context(text), room, words)]


def test_a_context_that_fits_is_one_window():
    """What fits is read in one go."""
    assert cut("One two. Three four.", 4) == ["One two. Three four."]


def test_windows_share_a_sentence():
    """Each window ends on whole sentences, and the next one begins with its last."""
    assert cut("A a. B b. C c. D d.", 4) == ["A a. B b.", "B b. C c.", "C c. D d."]


def test_a_sentence_without_room_beside_another_is_not_shared():
    """Where two sentences do not fit together, each stands alone, and none is read twice."""
    assert cut("A a. B b b b. C c.", 5) == ["A a.", "B b b b.", "C c."]


def test_a_long_sentence_is_halved_between_words():
    """A sentence beyond the limit is cut where a word ends, down to the limit, and loses nothing."""
    text = " ".join(f"w{n}" for n in range(20))
    windows = cut(text, 6)
    assert all(words(window) <= 6 for window in windows)
    assert set(" ".join(windows).split()) == set(text.split())


def test_a_word_without_end_is_halved_as_well():
    """Text without a space is cut by its characters."""
    context = Context("x" * 20)
    assert {len(window.text) for window in context_windows(context, 7, len)} == {5}


def test_markers_between_sentences_count():
    """A window never exceeds its room by the markers of a list that stand between its sentences."""
    text = "A a.\n- B b.\n- C c.\n- D d."
    assert cut(text, 5) == ["A a.\n- B b.", "B b.\n- C c.", "C c.\n- D d."]


def test_windows_know_their_place():
    """Offsets of a window are those in the document; a passage that is not its text has only its own."""
    exact, joined = Context("A a. B b.", "a.md", 2, 100, 109), Context("A a. B b.", "a.md", 2, 100, 120)
    assert list(context_windows(exact, 2, words)) == [
        Context("A a.", "a.md", 2, 100, 104),
        Context("B b.", "a.md", 2, 105, 109),
    ]
    assert [window.start for window in context_windows(joined, 2, words)] == [100, 100]


@pytest.mark.parametrize("text", ["", "  \n", "---\n"])
def test_no_text_no_windows(text):
    """Of nothing but marks there is no window."""
    assert cut(text, 5) == []


def test_every_character_of_a_sentence_is_in_a_window():
    """Whatever the room, windows fit and cover every word, in order."""
    text = "One two three. Four.\n\n# Five six\n- seven eight nine ten eleven twelve. Thirteen fourteen."
    for room in range(1, 20):
        windows = cut(text, room)
        assert max(map(words, windows)) <= room
        assert {word for window in windows for word in window.split()} >= set(text.split()) - {"#", "-"}


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["contradiction", "entailment", "neutral"], Labels(1, 0)),
        (["ENTAILMENT", "NEUTRAL", "CONTRADICTION"], Labels(0, 2)),
        (["entailment", "not_entailment"], Labels(0)),
        (["not-entailment", "Entailment"], Labels(1)),
        (["inconsistent", "consistent"], Labels(1)),
        (["Supported", "Refuted"], Labels(0, 1)),
        (["entails"], Labels(0)),
        (["LABEL_0"], Labels(0)),
    ],
)
def test_labels_are_known_by_their_names(names, labels):
    """Spelling and order are the model's; a lone logit needs no name."""
    assert labels_of(dict(enumerate(names)), HERE) == labels


@pytest.mark.parametrize(
    "names", [["LABEL_0", "LABEL_1"], ["relevance"], ["not_entailment", "neutral"], ["entailment", "entails"]]
)
def test_labels_that_do_not_tell_are_listed(names):
    """No label that means entailment, or two, are an error that names all of them."""
    with pytest.raises(ModelError) as caught:
        labels_of(dict(enumerate(names)), HERE)
    assert str(caught.value) == (
        f"model does not say which of its labels means entailment: its config.json (id2label) names "
        f"{', '.join(names)}. Use a model whose config names its labels, exactly one of them entailment, "
        "entails, supported or consistent, such as cross-encoder/nli-deberta-v3-base."
    )


def test_all_pairs_are_one_batch_and_the_best_window_counts():
    """Claims by windows go to the model together; the reading is that of the best window."""
    model = FakeModel()
    contexts = (Context("Nothing here."), Context("It says: Two experts. More.", "b.md", 4))
    found = read("faithfulness", Answer("Two experts. Five experts.", contexts), model)
    assert [(item.text, item.value) for item in found.items] == [
        ("Two experts.", 0.8),
        ("Five experts.", 0.1),
    ]
    assert found.items[0].closest == contexts[1]
    assert model.batches == [[(c.text, f"{n} experts.") for n in ("Two", "Five") for c in contexts]]
    assert found.tokens == Tokens(evaluated=2 * (2 + 5) + 2 * 4)


@pytest.mark.parametrize(
    ("metric", "answer", "reason"),
    [
        ("faithfulness", Answer("Two."), "there are no contexts to hold the answer against"),
        (
            "faithfulness",
            Answer("I do not know.", (Context("Two."),)),
            "the answer declines: it makes no claim",
        ),
        ("context_recall", Answer("Two."), "there are no contexts to find the reference in"),
    ],
)
def test_nothing_to_read(metric, answer, reason):
    """Without contexts, and of an answer that declines, there is nothing to read."""
    assert read(metric, answer) == RawScores(reason=reason)


def test_contexts_without_text():
    """Contexts of nothing but marks support nothing and deny nothing."""
    (found,) = read("faithfulness", Answer("Two experts.", (Context("---"),))).items
    assert (found.value, found.features, found.reason) == (None, {}, "there is no text to hold it against")


def test_a_claim_that_leaves_no_room():
    """A claim that would crowd out what it is held against is not read."""
    answer = Answer("Seven words are too many for it.", (Context("Yes."),))
    (found,) = read("faithfulness", answer, FakeModel(limit=8)).items
    assert (found.value, found.reason) == (
        None,
        "the claim has 7 tokens, and fake reads 8 at once: too few are left for what it is held against",
    )


def test_correctness_without_a_label_for_contradiction():
    """A model that says nothing of contradiction is asked whether the answer follows."""
    texts = [item.value for item in read("correctness", Answer("Two experts."), FakeModel()).items]
    assert texts == [0.95, 0.8]
    model = FakeModel(contradicts=False)
    assert [item.value for item in read("correctness", Answer("Two experts."), model).items] == [0.8, 0.8]


def test_the_highest_contradiction_counts():
    """A contradiction in one window is not outweighed by the others."""
    model = FakeModel(limit=8)
    question = Question("q", "How many?", reference="All is well. It is not: Two experts. All is good.")
    readings = EntailmentScorer(model).read(["correctness"], question, Answer("Two experts."))["correctness"]
    assert readings.items[0].value == pytest.approx(0.1)


def test_the_name_and_what_it_reads():
    """The reader is named for the model."""
    reader = EntailmentScorer(FakeModel())
    assert reader.name == "cross-encoder (fake)"
    assert reader.metrics == (
        "faithfulness",
        "context_recall",
        "correctness",
        "citation_precision",
        "citation_recall",
    )


def test_a_reranker_is_refused():
    """A reranker of the catalogue has one logit as well, and means another thing by it."""
    with pytest.raises(ModelError) as caught:
        load_entailment("bge-reranker-base", offline=True)
    assert str(caught.value) == (
        "bge-reranker-base is a reranker: it says what a passage is about, not what follows from it. "
        "Use an entailment model, such as cross-encoder/nli-deberta-v3-base."
    )


def test_a_name_of_the_hub_offline(tmp_path, monkeypatch):
    """A repository that was never fetched is named as it was given, with the way to get it here."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    with pytest.raises(ModelError) as caught:
        load_entailment("cross-encoder/nli-MiniLM", offline=True)
    assert str(caught.value) == (
        "model 'cross-encoder/nli-MiniLM' is not in the cache, and offline nothing is fetched\n"
        "Fetch it on a connected machine with `hf download cross-encoder/nli-MiniLM --local-dir "
        f"cross-encoder--nli-minilm` and copy its folder to {tmp_path}/cross-encoder--nli-minilm here, set "
        "HF_ENDPOINT to a mirror of the hub, or give a path to the folder in place of the name."
    )


def test_a_path_that_is_not_there():
    """A name that is neither of the catalogue, nor of the hub, nor a folder is refused as any model is."""
    with pytest.raises(ModelError, match=r"^model file not found: ~/none\n"):
        load_entailment("~/none", offline=True)
