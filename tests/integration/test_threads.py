"""How threads wait: a policy that must be set before the first library that reads it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.model

LOAD = {
    "embedder": "from rag_evals.rag.retrieval.embedder import SentenceModel; from rag_evals.rag.models.resolve import resolve; "  # noqa: E501
    "SentenceModel(resolve('all-minilm-l6-v2', offline=True).path).load()",
    "llm": "from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel; from rag_evals.rag.models.resolve import resolve; "  # noqa: E501
    "from rag_evals.rag.config.llm import LLMConfig; "
    "LlamaCppModel(resolve('smollm2-135m-instruct', offline=True), LLMConfig(n_ctx=256)).load()",
}


@pytest.mark.parametrize("first", LOAD)
def test_threads_sleep_while_they_wait(first, smollm2, embedder):
    """Whichever model is loaded first, threads of processes that share the cores do not spin."""
    assert policy_after(LOAD[first], bare()) == "passive 1000"


def test_a_policy_of_the_users_own_stays(smollm2):
    """Whoever has the cores for himself may let them spin."""
    assert policy_after(LOAD["llm"], {**bare(), "OMP_WAIT_POLICY": "active"}) == "active None"


def bare() -> dict[str, str]:
    """Return the environment as it is without this session's own policy."""
    ours = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")
    return {name: value for name, value in os.environ.items() if name not in ours}


def policy_after(load: str, environment: dict[str, str]) -> str:
    """Return the policy that a process has when torch or llama.cpp is imported by `load`."""
    script = f"""
import os, sys
class Watch:
    def find_spec(self, name, *rest):
        if name in ("torch", "llama_cpp"):
            print(os.environ.get("OMP_WAIT_POLICY"), os.environ.get("GOMP_SPINCOUNT"), flush=True)
            os._exit(0)
sys.meta_path.insert(0, Watch())
{load}
"""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()
