"""Rerankers that need no model of their own: none, and the language model asked about each passage."""

from __future__ import annotations

from rag_evals.evals.testing import ScriptedLLM
from rag_evals.rag.answer import Context, question_part
from rag_evals.rag.retrieval.reranker import LLMReranker, NoReranker, Reranker

PASSAGES = (
    Context("Cats sleep.", score=0.9),
    Context("Two experts.", score=0.5),
    Context("Rain.", score=0.1),
)


def test_none_keeps_the_retrievers_order_and_scores():
    """`none` gives what it was given."""
    reranker: Reranker = NoReranker()
    assert reranker.rerank("How many?", PASSAGES).contexts == PASSAGES
    assert (reranker.name, reranker.fingerprint) == ("none", "none")


def test_the_language_model_orders_by_its_probability_of_yes():
    """Passages come by falling P(yes) against P(no), which becomes their score."""
    llm = ScriptedLLM({"yes": 0.1, "no": 0.3}, {"yes": 0.03, "no": 0.01}, {"yes": 0.25, "no": 0.25})
    ranked = LLMReranker(llm).rerank("How many?", PASSAGES).contexts
    assert [(context.text, context.score) for context in ranked] == [
        ("Two experts.", 0.75),
        ("Rain.", 0.5),
        ("Cats sleep.", 0.25),
    ]


def test_passages_that_help_equally_keep_the_retrievers_order():
    """Equal scores change nothing, so that an order is never left to chance."""
    llm = ScriptedLLM(*[{"yes": 0.2, "no": 0.2}] * 3)
    ranked = LLMReranker(llm).rerank("How many?", PASSAGES).contexts
    assert [context.text for context in ranked] == [context.text for context in PASSAGES]


def test_the_question_comes_first_so_that_passages_share_it():
    """Each prompt is the question's part, equal for all passages, then the passage with the task."""
    llm = ScriptedLLM(*[{"yes": 0.2, "no": 0.2}] * 3)
    LLMReranker(llm).rerank("How many?", PASSAGES)
    assert {prompt.parts[0] for prompt in llm.prompts} == {question_part("How many?")}
    assert [len(prompt.parts) for prompt in llm.prompts] == [2, 2, 2]
    assert all(p.text in prompt.parts[1] for p, prompt in zip(PASSAGES, llm.prompts, strict=True))


def test_no_passages_no_calls():
    """Without passages the model is not asked."""
    llm = ScriptedLLM()
    assert LLMReranker(llm).rerank("How many?", ()).contexts == ()
    assert llm.prompts == []


def test_the_identity_of_the_language_model_reranker_is_its_models():
    """Another model is another reranker; the name says which."""
    one, again, two = (LLMReranker(ScriptedLLM(name=name)) for name in ("a", "a", "b"))
    assert one.fingerprint == again.fingerprint != two.fingerprint
    assert (one.name, two.name) == ("llm (a)", "llm (b)")
