"""Print the names of a job's caches, for GitHub's outputs: by the models' weights, and by the processor.

    PYTHONPATH=CHECKOUT python -P CHECKOUT/.ci/keys.py MODEL...

Weights are the same everywhere. llama.cpp is built for a processor, and what a model says differs in its last
digits from one to the next, so that answers and verdicts are kept apart. Runs before anything is installed:
the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import platform
import re
import sys
from dataclasses import asdict
from pathlib import Path

from rag_evals.rag.models.catalogue import load_catalogue
from rag_evals.rag.native.build import this_processor
from rag_evals.rag.native.set_up import requirements_digest

ROOT = Path(__file__).parents[1]


def main(names: list[str]) -> None:
    """Print `models` and `results`, each with the key that restores it."""
    catalogue = load_catalogue()
    # A model of no catalogue, a path or an address, is known by its name alone.
    files = {
        name: [asdict(file) for file in catalogue[name].files] if name in catalogue else None
        for name in sorted(set(names))
    }
    weights, processor = _digest(files), this_processor()
    called = re.sub("[^a-z0-9]+", "-", processor.name.lower()).strip("-")[:40]
    packages = _digest([platform.python_version(), requirements_digest(ROOT)])
    print(f"models=rag-evals-models-{weights}")  # noqa: T201
    print(f"results=rag-evals-results-{weights}-{called}-{_digest(asdict(processor))}-{packages}")  # noqa: T201


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


if __name__ == "__main__":
    main(sys.argv[1:])
