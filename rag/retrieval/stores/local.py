"""Vectors in files: exact search over an array that is mapped into memory."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag_evals.rag.retrieval.embedder import Vectors
from rag_evals.rag.retrieval.stores.protocol import Entry

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

VECTORS = "vectors.f32"
IDS = "ids.bin"
ROWS = "rows.json"
FILES = (VECTORS, IDS, ROWS)
_ID_BYTES = 32  # of a SHA-256
_FLOAT_BYTES = 4
# More than the sum of the products of two unit vectors is off in 32 bits.
_MARGIN = 1e-5


class LocalStore:
    """Unit vectors in one array on disk, in the order in which they came, and whose they are.

    What is added is written behind the rest; what is removed stays where it is and is passed over, until it
    is the larger half. Nothing of it holds before `save`: a folder that is written to belongs to its writer
    alone.

    Args:
        folder: Where the files lie.

    Raises:
        OSError, ValueError, LookupError, TypeError: They are damaged.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._dimension = 0
        self._documents: dict[str, tuple[str, int, int]] = {}
        if (folder / ROWS).exists():
            told = json.loads((folder / ROWS).read_bytes())
            self._dimension = int(told["dimension"])
            self._documents = {
                name: (str(digest), int(first), int(count))
                for name, digest, first, count in told["documents"]
            }
        self._map()

    def _map(self) -> None:
        import numpy as np

        vectors, ids = (self._folder / name for name in (VECTORS, IDS))
        rows = ids.stat().st_size // _ID_BYTES if ids.exists() else 0
        width = self._dimension * _FLOAT_BYTES
        sizes = [file.stat().st_size if file.exists() else 0 for file in (vectors, ids)]
        if sizes != [rows * width, rows * _ID_BYTES]:
            raise ValueError(f"{VECTORS} and {IDS} have {sizes[0]:,} and {sizes[1]:,} bytes")
        places = [(first, count) for _, first, count in self._documents.values()]
        if any(first < 0 or count < 0 or first + count > rows for first, count in places):
            raise ValueError(f"{ROWS} names rows beyond {rows:,}")
        self._vectors: NDArray[np.float32] = np.empty((0, self._dimension), "<f4")
        self._ids: NDArray[np.uint8] = np.empty((0, _ID_BYTES), np.uint8)
        if rows and width:  # an empty file cannot be mapped
            self._vectors = np.memmap(vectors, "<f4", "r", shape=(rows, self._dimension))
            self._ids = np.memmap(ids, np.uint8, "r", shape=(rows, _ID_BYTES))
        self._is_dead: NDArray[np.bool_] | None = None
        if sum(count for _, count in places) < rows:
            self._is_dead = np.ones(rows, bool)
            for first, count in places:
                self._is_dead[first : first + count] = False

    def documents(self) -> dict[str, str]:
        """Return the digest of each document, by its name."""
        return {name: digest for name, (digest, _, _) in self._documents.items()}

    @property
    def dimension(self) -> int:
        """Dimensions of the vectors; 0 where there are none."""
        return self._dimension

    def count(self, document: str) -> int:
        """Return how many vectors a document has."""
        return self._documents[document][2]

    def ids_of(self, document: str) -> list[str]:
        """Return the ids of the chunks of a document, in the order of its vectors."""
        _, first, count = self._documents[document]
        return [row.tobytes().hex() for row in self._ids[first : first + count]]

    def scored(self, vector: Vectors, document: str, row: int) -> tuple[float, str]:
        """Return the cosine of `vector` and one of a document's, and the id of its chunk.

        Raises:
            LookupError: There is no such document or row.
        """
        _, first, count = self._documents[document]
        if row not in range(count):
            raise IndexError(row)
        return self._scored(vector, [first + row])[0]

    def vectors_of(self, document: str) -> Vectors:
        """Return the vectors of a document."""
        _, first, count = self._documents[document]
        return self._vectors[first : first + count]

    def add(self, entries: Sequence[Entry]) -> None:
        """Write documents behind the rest.

        Raises:
            ValueError: Their vectors are of another dimension.
        """
        import numpy as np

        rows = len(self._ids)
        with (self._folder / VECTORS).open("ab") as vectors, (self._folder / IDS).open("ab") as ids:
            for entry in entries:
                self._documents[entry.document] = (entry.digest, rows, len(entry.chunks))
                rows += len(entry.chunks)
                if not entry.chunks:
                    continue
                self._dimension = self._dimension or entry.vectors.shape[1]
                if entry.vectors.shape[1] != self._dimension:
                    raise ValueError(f"vectors of {entry.vectors.shape[1]} dimensions, not {self._dimension}")
                vectors.write(np.ascontiguousarray(entry.vectors, "<f4").tobytes())
                ids.write(b"".join(bytes.fromhex(chunk.id) for chunk in entry.chunks))
        self._map()

    def remove(self, documents: Collection[str]) -> None:
        """Pass documents over from now on."""
        for name in documents:
            self._documents.pop(name, None)
        self._map()

    def save(self) -> None:
        """Write whose the vectors are, and what is left of them where most was removed."""
        if self._is_dead is not None and 2 * self._is_dead.sum() > len(self._is_dead):
            self._compact()
        documents = [(name, *place) for name, place in self._documents.items()]
        told = {"dimension": self._dimension, "documents": documents}
        (self._folder / ROWS).write_text(json.dumps(told), "ascii")

    def _compact(self) -> None:
        parts = [self._folder / f"{name}.part" for name in (VECTORS, IDS)]
        rows = 0
        with parts[0].open("wb") as vectors, parts[1].open("wb") as ids:
            for name, (digest, first, count) in self._documents.items():
                vectors.write(self._vectors[first : first + count].tobytes())
                ids.write(self._ids[first : first + count].tobytes())
                self._documents[name] = (digest, rows, count)
                rows += count
        for part in parts:
            part.replace(part.with_suffix(""))
        self._map()

    def nearest(
        self, vector: Vectors, k: int, documents: Collection[str] | None = None
    ) -> list[tuple[str, float]]:
        """Return the ids of the `k` nearest chunks with their cosine, best first; equal ones by their ids."""
        import numpy as np

        if not len(self._ids):
            return []
        # Faster than a product of matrices, whose threads wait for each other where a machine has other work.
        rough = np.einsum("ij,j->i", self._vectors, np.asarray(vector, "<f4"))
        if self._is_dead is not None:
            rough[self._is_dead] = -np.inf
        if documents is not None:
            for name in self._documents.keys() - documents:
                _, first, count = self._documents[name]
                rough[first : first + count] = -np.inf
        if k < len(rough):
            near = np.flatnonzero(rough >= np.partition(rough, -k)[-k] - _MARGIN)
        else:
            near = np.arange(len(rough))
        # The last digits of `rough` depend on where in the array a vector lies; those of these do not.
        found = self._scored(vector, near[rough[near] > -np.inf])
        return [(id, score) for score, id in sorted(found, reverse=True)[:k]]

    def _scored(self, vector: Vectors, rows: Any) -> list[tuple[float, str]]:
        """Return the cosine of `vector` and of each of `rows`, with the id of its chunk."""
        ids = self._ids[rows].tobytes().hex()
        width = 2 * _ID_BYTES
        each = (ids[start : start + width] for start in range(0, len(ids), width))
        return list(zip(_cosines(vector, self._vectors[rows]), each, strict=True))


def _cosines(one: Any, others: Any) -> list[float]:
    """Return the cosine of a vector and of each of others, shape (count, width), wherever these lie."""
    import numpy as np

    one, others = np.asarray(one, float), np.asarray(others, float)
    # A stack of products of a row and a column is computed one by one, each as `np.dot` computes it. The last
    # digits of a product of matrices depend on how many rows it has.
    products, squares = (others[:, None] @ column for column in (one[:, None], others[:, :, None]))
    sizes = np.sqrt(squares.ravel()) * np.linalg.norm(one)
    cosines: list[float] = np.divide(
        products.ravel(), sizes, out=np.zeros(len(others)), where=sizes > 0
    ).tolist()
    return cosines
