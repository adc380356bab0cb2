"""Hidden states: what llama.cpp holds of a text at half its depth, kept while it evaluates.

llama.cpp hands out the states behind the last layer alone, which are about the next token. What a model has
made of what it reads stands in the middle (docs/decisions/0021), and there llama.cpp lets a callback look.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class HiddenStates:
    """Looks at the output of one layer, of contexts that are made with its `callback`.

    Attributes:
        layer: The layer that is looked at, counted from 0; set once the model is there.
        callback: To be put into the parameters of a context; must outlive it.
    """

    def __init__(self) -> None:
        import llama_cpp

        self.layer = 0
        self._kept: list[Any] | None = None
        callback = llama_cpp.llama_cpp.ggml_backend_sched_eval_callback
        try:
            # The library's own symbols, and those of what it is linked with.
            self._name_of, self._size_of, self._copy = _functions(llama_cpp.llama_cpp._lib)
        except AttributeError:
            self.callback = callback()  # a build that hides them calls nobody
        else:
            self.callback = callback(self._look)

    @contextmanager
    def kept(self) -> Iterator[list[Any]]:
        """Keep the states of what is evaluated in the block: float32 arrays, one after the other, flat."""
        kept: list[Any] = []
        self._kept = kept
        try:
            yield kept
        finally:
            self._kept = None

    def _look(self, tensor: int, asks: bool, _: object) -> bool:
        """Say whether `tensor` is wanted, if llama.cpp `asks`; else keep it, and say that it may go on."""
        if self._kept is None or self._name_of(tensor) != b"l_out-%d" % self.layer:
            return False
        if not asks:
            import numpy as np

            size = self._size_of(tensor)
            states = np.empty(size // 4, dtype=np.float32)
            self._copy(tensor, states.ctypes.data, 0, size)
            self._kept.append(states)
        return True


def _functions(library: Any) -> tuple[Any, Any, Any]:
    """Return ggml's functions that tell a tensor's name and its size in bytes, and copy it from any device.

    Raises:
        AttributeError: `library` does not have them.
    """
    name_of, size_of, copy = library.ggml_get_name, library.ggml_nbytes, library.ggml_backend_tensor_get
    name_of.argtypes, name_of.restype = [ctypes.c_void_p], ctypes.c_char_p
    size_of.argtypes, size_of.restype = [ctypes.c_void_p], ctypes.c_size_t
    copy.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t]
    copy.restype = None
    return name_of, size_of, copy
