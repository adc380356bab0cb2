"""The process of the self-test that may die: runs the small model and prints what it computed.

Started by its path, with the Python whose llama.cpp is to be tested. Prints one JSON line with what the
library was built with before it computes anything, and one with logits after that.
"""

from __future__ import annotations

import json
import sys


def main(model: str, prompt: list[int], following: int) -> None:
    """Run `prompt` at once and `following` alone; print the logits after each."""
    import llama_cpp

    compiled = llama_cpp.llama_print_system_info().decode(errors="replace")
    print(json.dumps({"version": llama_cpp.__version__, "compiled": compiled}), flush=True)
    llm = llama_cpp.Llama(model, n_ctx=256, n_batch=64, n_threads=2, n_gpu_layers=0, verbose=False)
    logits = []
    for tokens in (prompt, [following]):
        llm.eval(tokens)
        found = llama_cpp.llama_get_logits(llm.ctx)
        logits.append([float(found[word]) for word in range(llm.n_vocab())])
    print(json.dumps({"logits": logits}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))
