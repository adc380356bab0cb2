"""Citations on real models: read from the same passages as faithfulness, and the same each time."""

from __future__ import annotations

import pytest
from rag_evals.evals.judges.choice.scorer import ChoiceScorer
from rag_evals.evals.judges.citations.reading import CITATION_METRICS, PRECISION, RECALL
from rag_evals.evals.questions.question import Question
from rag_evals.rag.answer import Answer, Context, Tokens

pytestmark = pytest.mark.model

QUESTION = Question("q", "How many experts has Mixtral?")
EXPERTS = Context("Mixtral has eight experts in each layer.", "moe.pdf", 3)
ROUTER = Context("Its router picks two of them for each token.", "moe.pdf", 4)
ANSWER = Answer("Mixtral has eight experts [1]. A router picks two of them [moe.pdf p.4].", (EXPERTS, ROUTER))


@pytest.mark.parametrize("reads_states", [False, True])
def test_a_citation_is_read_as_faithfulness_to_what_it_cites(llm, embedder, reads_states):
    """To the last digit; of two metrics the second costs nothing. Claims are asked for in either case."""
    scorer = ChoiceScorer(llm, embedder, reads_states=reads_states)
    read = scorer.read(CITATION_METRICS, QUESTION, ANSWER)
    first, second = read[PRECISION].items
    assert [item.closest.page for item in (first, second)] == [3, 4]
    assert [item.features for item in read[RECALL].items] == [first.features, second.features]
    assert read[RECALL].tokens == Tokens()
    alone = Answer("Mixtral has eight experts.", (EXPERTS,))
    (faithful,) = ChoiceScorer(llm, embedder).read(["faithfulness"], QUESTION, alone)["faithfulness"].items
    assert (first.value, first.features) == (faithful.value, faithful.features)
    assert "gain" in first.features
