"""Grammars of llama.cpp: what a JSON schema allows a model to write next.

Greedy among what is allowed: the most probable tokens are asked about first, a few at a time, because asking
about a whole vocabulary of 150,000 takes 41 ms, as long as a model of 1.5 billion parameters takes to compute
one token on two cores. The best alone takes 0.015 ms, the best 64 take 0.2 ms.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from rag_evals.rag.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

# Of each token of the vocabulary.
Logits: TypeAlias = "NDArray[np.float32]"

# Most probable tokens that are asked about: the best alone, as it is nearly always allowed, then some more,
# and the whole vocabulary when none of those is.
FEW = (1, 64)


class Greedy:
    """Takes the most probable token, whatever it is."""

    def __enter__(self) -> Greedy:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def best(self, logits: Logits) -> int:
        """Return the most probable token."""
        return int(logits.argmax())


class Grammar:
    """Takes the most probable token of a loaded model that continues a JSON value of the JSON schema.

    Raises:
        ModelError: The schema is none that llama.cpp has a grammar for.
    """

    def __init__(self, llama: Any, schema: Mapping[str, Any]) -> None:
        import llama_cpp

        self._sampler = llama_cpp.llama_sampler_init_grammar(llama._model.vocab, _gbnf(schema), b"root")
        if not self._sampler:
            raise ModelError(f"llama.cpp has no grammar for this JSON schema: {json.dumps(dict(schema))}")

    def __enter__(self) -> Grammar:
        return self

    def __exit__(self, *_: object) -> None:
        import llama_cpp

        llama_cpp.llama_sampler_free(self._sampler)

    def best(self, logits: Logits) -> int:
        """Return the most probable token that the grammar allows; the grammar then stands behind it.

        Raises:
            ModelError: The grammar allows none.
        """
        import llama_cpp
        import numpy as np

        for count in (*FEW, logits.size):
            tokens = _most_probable(logits, count)
            allowed = tokens[np.isfinite(self._masked(tokens, logits))]
            if allowed.size:
                token = int(allowed[0])
                llama_cpp.llama_sampler_accept(self._sampler, token)
                return token
        raise ModelError("the grammar of the JSON schema allows no token of this model's vocabulary here")

    def _masked(self, tokens: NDArray[np.intp], logits: Logits) -> Logits:
        """Return the logits of `tokens`, minus infinity for those that the grammar does not allow."""
        import ctypes

        import llama_cpp
        import numpy as np

        table = np.zeros(tokens.size, dtype=[("id", np.int32), ("logit", np.float32), ("p", np.float32)])
        table["id"], table["logit"] = tokens, logits[tokens]
        data = table.ctypes.data_as(ctypes.POINTER(llama_cpp.llama_token_data))
        array = llama_cpp.llama_token_data_array(data=data, size=table.size, selected=-1, sorted=False)
        llama_cpp.llama_sampler_apply(self._sampler, ctypes.byref(array))
        masked: Logits = table["logit"]
        return masked


def is_json(text: str) -> bool:
    """Return whether `text` is a whole JSON value."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _gbnf(schema: Mapping[str, Any]) -> bytes:
    from llama_cpp.llama_grammar import json_schema_to_gbnf

    try:
        return str(json_schema_to_gbnf(json.dumps(dict(schema)))).encode()
    except (AssertionError, KeyError, TypeError, ValueError, NotImplementedError) as error:
        raise ModelError(
            f"llama.cpp has no grammar for this JSON schema: {json.dumps(dict(schema), default=str)}"
        ) from error


def _most_probable(logits: Logits, count: int) -> NDArray[np.intp]:
    """Return the `count` most probable tokens, best first; of equals the lower number."""
    import numpy as np

    if count == 1:
        return np.array([logits.argmax()])
    if count >= logits.size:
        return np.argsort(-logits, kind="stable")
    top = np.sort(np.argpartition(-logits, count)[:count])
    return top[np.argsort(-logits[top], kind="stable")]
