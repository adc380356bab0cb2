"""Words and arrays in one file, checked by the checksums of its parts when it is read."""

from __future__ import annotations

import stat
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What is raised of a file that is damaged.
DAMAGES = (OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile)


def write_arrays(file: Path, words: Mapping[str, Sequence[str]], arrays: Mapping[str, NDArray[Any]]) -> None:
    """Write words and arrays, each under its name; the file is there whole or not at all.

    There are no line ends in words.
    """
    import numpy as np

    texts = {name: np.frombuffer("\n".join(many).encode(), np.uint8) for name, many in words.items()}
    with tempfile.TemporaryDirectory(prefix="building-", dir=file.parent) as folder:
        scratch = Path(folder) / "arrays.npz"
        np.savez(scratch, **texts, **arrays)  # type: ignore[arg-type]  # its stubs take a flag for an array
        scratch.replace(file)


def read_arrays(
    file: Path, words: Sequence[str], arrays: Sequence[str]
) -> tuple[dict[str, list[str]], dict[str, NDArray[Any]]]:
    """Read words and arrays by their names.

    Raises:
        OSError, ValueError, LookupError, EOFError, zipfile.BadZipFile: It is not there, or damaged.
    """
    import numpy as np

    if not stat.S_ISREG(file.lstat().st_mode):
        raise ValueError(f"{file.name} is no plain file")
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as held:
        texts = {name: held[name].tobytes().decode() for name in words}
        return (
            {name: text.split("\n") if text else [] for name, text in texts.items()},
            {name: held[name] for name in arrays},
        )
