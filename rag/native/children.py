"""The environment of the Python processes that we start: where they look for packages, and where they do not.

`-P` keeps the current folder from the path of the process that it is given to alone. What that process
starts in its turn, and an empty or relative entry of PYTHONPATH, would bring it back: a `tempfile.py` beside
somebody's questions would be run in place of the library.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path


def child_environment(**more: str) -> dict[str, str]:
    """Return the environment for a Python process of ours, which is started with `-P`.

    It finds this very installation, wherever it begins, and looks for nothing in the folder that it begins
    in; nor does any Python that it starts itself.

    Args:
        more: Further variables.
    """
    # The module's own name: `rag_evals` may be a package of a checkout, or of a wheel.
    here = Path(str(sys.modules[__name__.partition(".")[0]].__file__)).parents[1]
    path = os.pathsep.join([str(here), *_elsewhere(os.environ.get("PYTHONPATH", ""))])
    return {**os.environ, "PYTHONPATH": path, "PYTHONSAFEPATH": "1", **more}


def _elsewhere(path: str) -> list[str]:
    """Return the entries of a path, absolute, without those that are the current folder."""
    current = os.path.realpath(os.curdir)
    entries = [os.path.abspath(entry) for entry in path.split(os.pathsep) if entry]  # noqa: PTH100 - a text
    return [entry for entry in entries if os.path.realpath(entry) != current]
