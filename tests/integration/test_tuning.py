"""Measuring a real small model: what is tried, what is kept, and that threads change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.llm.local.speeds import Speeds, Threads, Tuning, keep, speeds_of, tuning_of
from rag_evals.rag.llm.protocol import Prompt

from benchmarks.tuning import tune
from tests.integration.conftest import SMALL

pytestmark = pytest.mark.model

CONFIG = replace(SMALL, n_ctx=256, n_threads=0)
PROMPT = Prompt(("Rain falls on the sea. " * 9, "Is it wet? Answer yes or no."))


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch, smollm2):
    """Keep what is measured in a folder of the test's own; the model was found before."""
    monkeypatch.setenv("RAG_EVALS_MODELS", str(tmp_path))
    monkeypatch.delenv("RAG_EVALS_PROBE", raising=False)
    return tmp_path


def said(model, config: LLMConfig) -> tuple[dict[str, float], str]:
    llm = LocalLLM(model, config)
    verdict = llm.choose(PROMPT, ("yes", "no"))
    text = llm.complete(PROMPT, max_tokens=8).text
    llm.close()
    return dict(verdict.probabilities), text


def test_tuning_a_model(smollm2):
    """Every setting is measured, threads change no bit, and what was found is kept."""
    steps: list[str] = []
    found, tried = tune(smollm2, CONFIG, say=steps.append)
    trials = {trial.setting: trial for trial in tried}
    settings = ["n_batch = 256", "n_batch = 128", "flash_attn = true"]
    assert steps == list(trials)
    assert steps[-4:] == [*settings, 'flash_attn = true, cache_type = "q8_0"']
    assert all(trial.speeds and min(trial.speeds.prefill, trial.speeds.decode) > 0 for trial in tried)
    assert all(trial.is_exact for trial in tried if trial.setting.startswith("n_threads"))
    assert trials["n_batch = 256"].is_exact
    assert not trials["flash_attn = true"].is_exact
    assert 0 < (trials["flash_attn = true"].difference or 0) < 0.2
    assert (tuning_of(smollm2), speeds_of(smollm2)) == (found, found.speeds)


def test_a_first_load_measures_and_changes_nothing(smollm2):
    """Where no threads are given the model is measured once; what it says is what it always said."""
    before = said(smollm2, SMALL)
    assert said(smollm2, CONFIG) == before
    llm = LocalLLM(smollm2, CONFIG)
    llm.load()
    assert llm.choose(PROMPT, ("yes", "no")).tokens.reused == 0
    llm.close()


def test_the_threads_that_were_found_are_used(smollm2, monkeypatch):
    """Threads for reading and for writing are set apart, and any number of them gives the same bits."""
    monkeypatch.setenv("RAG_EVALS_PROBE", "0")
    before = said(smollm2, replace(CONFIG, n_threads=1))
    for threads in (Threads(2, 1), Threads(1, 2)):
        keep(smollm2, Tuning(Speeds(1.0, 1.0), threads))
        assert threads_of(LlamaCppModel(smollm2, CONFIG)) == threads
        assert said(smollm2, CONFIG) == before


def test_given_threads_are_not_tuned(smollm2, monkeypatch):
    """Whoever gives the number of threads gets it, unmeasured; so does who wants no measuring."""
    monkeypatch.setattr("rag_evals.rag.llm.local.loading.probe", lambda *_, **__: pytest.fail("measured"))
    keep(smollm2, Tuning(Speeds(1.0, 1.0), Threads(2, 2)))
    assert threads_of(LlamaCppModel(smollm2, replace(CONFIG, n_threads=1))) == Threads(1, 1)
    monkeypatch.setenv("RAG_EVALS_PROBE", "0")
    other = LlamaCppModel(replace(smollm2, sha256="1" * 64), CONFIG)
    assert threads_of(other) == Threads(CONFIG.threads, CONFIG.threads)


def threads_of(llm: LlamaCppModel) -> Threads:
    """Return the threads that llama.cpp itself says it uses."""
    import llama_cpp

    context = llm._llama.ctx
    return Threads(llama_cpp.llama_n_threads_batch(context), llama_cpp.llama_n_threads(context))


@pytest.mark.parametrize("settings", [{"flash_attn": True}, {"flash_attn": True, "cache_type": "q8_0"}])
def test_settings_that_change_results_are_another_model(smollm2, settings):
    """They enter the fingerprint, and warm and cold still agree to the last bit."""
    config = replace(SMALL, n_ctx=512, **settings)
    llm, cold = LocalLLM(smollm2, config), LocalLLM(smollm2, config)
    assert llm.fingerprint != LocalLLM(smollm2, replace(SMALL, n_ctx=512)).fingerprint
    first = llm.choose(PROMPT, ("yes", "no"))
    llm.choose(Prompt(("Something else. " * 20, "Is it?")), ("yes", "no"))
    again = llm.choose(PROMPT, ("yes", "no"))
    assert again.tokens.reused > first.tokens.reused == 0
    assert again.probabilities == first.probabilities == cold.choose(PROMPT, ("yes", "no")).probabilities
    llm.close()
    cold.close()
