"""Which words of a claim are named as unsupported: those that the passages do not have."""

from __future__ import annotations

from rag_evals.evals.judges.claims.unsupported import MOST_WORDS, missing_words
from rag_evals.evals.judges.claims.words import stems


def test_words_that_are_not_found():
    """A word is looked up, whatever its ending and the spelling of a number; function words are none."""
    known = set(stems("Two experts of eight are used for 1,024 tokens."))
    assert missing_words("Ten experts used 1024 token of the router.", known) == ("Ten", "router")
    assert missing_words("Two experts.", known) == ()


def test_each_word_is_named_once_and_at_most_some():
    """In the order of the claim, as it is spelled there."""
    assert missing_words("Mixtral-8x7B, or Mixtral-8x7B, has 1,024 rows.", set()) == (
        "Mixtral-8x7B",
        "1,024",
        "rows",
    )
    many = " ".join(f"word{n}" for n in range(20))
    assert missing_words(many, set()) == tuple(f"word{n}" for n in range(MOST_WORDS))
