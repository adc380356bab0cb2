"""What of a text an embedder reads: words that its tokenizer does not know, and text beyond its length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rag_evals.rag.documents.document import Remark, printable

# What the catalogue has for documents in other languages than English.
MULTILINGUAL = "granite-embedding-97m-multilingual-r2"
# Less of all documents, and of each, is not worth a line: a sign here and there is unknown to any tokenizer.
LEAST_SHARE = 0.01
LEAST_SHARE_OF_ONE = 0.05
_NAMED = 3


@dataclass(frozen=True, slots=True)
class Coverage:
    """Counts of characters, white space left out.

    Attributes:
        characters: All of them.
        unknown: Those of words that the tokenizer does not know: whatever they are, they are one token.
        beyond: Those behind the tokens that the model reads.
    """

    characters: int = 0
    unknown: int = 0
    beyond: int = 0

    def __add__(self, other: Coverage) -> Coverage:
        return Coverage(
            self.characters + other.characters, self.unknown + other.unknown, self.beyond + other.beyond
        )


class CoverageMeter:
    """Counts what a model of sentence-transformers reads of texts.

    Args:
        tokenizer: Its tokenizer, of transformers or of tokenizers.
        length: The tokens that it reads of a text; None for all.
    """

    def __init__(self, tokenizer: Any, length: int | None) -> None:
        from tokenizers import Tokenizer

        backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
        # A copy: the library sets the truncation of its own with each text.
        self._tokenizer = Tokenizer.from_str(backend.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        named = (getattr(tokenizer, "unk_token", None), "[UNK]", "<unk>")
        ids = (self._tokenizer.token_to_id(name) for name in named if isinstance(name, str))
        self._unknown = next((id for id in ids if id is not None), None)
        self._length = length

    def count(self, text: str) -> Coverage:
        """Return the counts of a text."""
        encoding = self._tokenizer.encode(text)
        pieces = [
            (id, sum(not c.isspace() for c in text[start:end]))
            for id, (start, end), is_special in zip(
                encoding.ids, encoding.offsets, encoding.special_tokens_mask, strict=True
            )
            if not is_special
        ]
        read = len(pieces)
        if self._length is not None:
            read = max(0, self._length - (len(encoding.ids) - len(pieces)))
        return Coverage(
            characters=sum(size for _, size in pieces),
            unknown=sum(size for id, size in pieces if id == self._unknown),
            beyond=sum(size for _, size in pieces[read:]),
        )


def coverage_remarks(found: Mapping[str, Coverage], embedder: str, length: int | None) -> Iterator[Remark]:
    """Yield what of the documents the embedder does not read, with the remedy.

    Args:
        found: Counts by the name of the document.
        embedder: Its name.
        length: The tokens that it reads of a passage.
    """
    other = "" if embedder == MULTILINGUAL else f', such as embedder = "{MULTILINGUAL}"'
    unknown = {name: (one.unknown, one.characters) for name, one in found.items()}
    if told := _shares(unknown):
        yield Remark(
            "not embedded",
            f"{told} are of words that the embedder {printable(embedder)} does not know, and are alike "
            f"to it: use an embedder for their language{other}",
        )
    beyond = {name: (one.beyond, one.characters) for name, one in found.items()}
    if told := _shares(beyond):
        yield Remark(
            "not embedded",
            f"{told} are beyond the {length} tokens that the embedder {printable(embedder)} reads of a "
            f"passage, and are not searched: use smaller chunk_sizes, or an embedder that reads more{other}",
        )


def _shares(counts: Mapping[str, tuple[int, int]]) -> str:
    """Return the share of all characters, and the documents of which most is lost; "" for too few."""
    lost, characters = (sum(pair[at] for pair in counts.values()) for at in (0, 1))
    shares = {name: part / whole for name, (part, whole) in counts.items() if whole}
    worst = sorted(shares, key=lambda name: (-shares[name], name))
    worst = [name for name in worst if shares[name] >= LEAST_SHARE]
    if not worst or (lost < LEAST_SHARE * characters and shares[worst[0]] < LEAST_SHARE_OF_ONE):
        return ""
    named = [f"{printable(name)} {_percent(shares[name])}" for name in worst[:_NAMED]]
    more = f" and {len(worst) - _NAMED:,} more" if len(worst) > _NAMED else ""
    return f"{_percent(lost / characters)} of the characters of the documents ({', '.join(named)}{more})"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= LEAST_SHARE else f"{share:.1%}"


def by_document(names: Sequence[str], counts: Sequence[Coverage]) -> dict[str, Coverage]:
    """Return the counts of passages together by the name of their document."""
    found: dict[str, Coverage] = {}
    for name, one in zip(names, counts, strict=True):
        found[name] = found.get(name, Coverage()) + one
    return found
