"""Fakes for your own tests: a language model, a pipeline and a judge that say what you tell them to."""

from __future__ import annotations

from rag_evals.evals.testing import FakeJudge, FakePipeline, ScriptedLLM

__all__ = ["FakeJudge", "FakePipeline", "ScriptedLLM"]
