"""What is said to be done about trouble with a model's server."""

from __future__ import annotations

from functools import partial

from rag_evals.rag.llm.http.trouble import Advice
from rag_evals.rag.llm.remote.failures import FILTERED


def advice_for(url: str) -> Advice:
    """Return what is to be done about trouble with the server at `url`."""
    return Advice(partial(_remedy, url), "ca_file in the table [llm]", "pay for more, or name another model")


def _remedy(url: str, status: int, text: str) -> str:
    if FILTERED in text or '"content_filter"' in text:
        return "Have the server's content filter changed, or ask a model without one."
    if status in (401, 403):
        return "Put the server's API key into the environment variable RAG_EVALS_API_KEY."
    if status == 404 and ".azure." in url:
        return (
            "On Azure the URL ends in /openai/v1 or in /openai/deployments/NAME?api-version=DATE, "
            "and the model is the deployment's name."
        )
    if status == 404:
        return "Check the model's name, and the URL: it mostly ends in /v1."
    if status == 429:
        return "The server is asked too often: try again later, or set requests_per_minute."
    if status == 408 or status >= 500:
        return "See the server's log; it may still be loading the model."
    return "Check the URL, the model's name, and that the prompt fits the server's context window."
