"""Which words of a claim are named as unsupported, of the likelihoods of its tokens and by look-up."""

from __future__ import annotations

import pytest
from rag_evals.evals.judges.claims.unsupported import MOST_WORDS, missing_words, unsupported_words
from rag_evals.evals.judges.claims.words import stems


def words(*tokens: tuple[str, float, float], start: int = 0) -> tuple[str, ...]:
    """Name the words of tokens that are given with their log-likelihood alone and behind passages."""
    text, spans = "", []
    for token, _, _ in tokens:
        spans.append((len(text), len(text) + len(token)))
        text += token
    alone, behind = ([token[n] for token in tokens] for n in (1, 2))
    return unsupported_words(text, spans, alone, behind, start=start)


def test_a_word_that_the_passages_do_not_raise():
    """What they raise is supported, and so is what was likely before; what stays unlikely is not."""
    named = words(("Each", -4, -3.9), (" token", -6, -0.5), (" uses", -2, -1.9), (" ten", -5, -5.5))
    assert named == ("Each", "ten")


def test_function_words_and_marks_are_none():
    """However unlikely they are."""
    assert words(("The", -9, -9), (" of", -9, -9), (",", -9, -9), (" ten", -9, -9), (".", -9, -9)) == ("ten",)


def test_a_word_is_whole():
    """Its tokens count together, whichever of them is raised; a token of two words counts for both."""
    assert words(("Mix", -8, -8), ("tral", -4, -0.1), (" runs", -1, -1)) == ()
    assert words(("Mix", -8, -8), ("tral", -1, -1), ("-8x", -3, -3.5), ("7B", -1, -1)) == ("Mixtral-8x7B",)
    assert words(
        ("ten thousand", -9, -9),
    ) == ("ten", "thousand")


def test_numbers_stay_as_they_are_spelled():
    """With their separators, as they stand in the claim."""
    assert words(("In", -1, -1), (" 1", -4, -4), (",", -1, -1), ("024", -4, -4), (" rows.", -1, -1)) == (
        "1,024",
    )


def test_each_word_is_named_once_and_at_most_some():
    """In the order of the claim."""
    assert words((" ten", -5, -5), (" or", -1, -1), (" ten", -5, -5)) == ("ten",)
    many = [(f" word{n}", -9.0, -9.0) for n in range(20)]
    assert words(*many) == tuple(f"word{n}" for n in range(MOST_WORDS))


def test_what_stands_before_the_claim_is_none_of_it():
    """The lead of the prompt is not judged."""
    assert words(("Statement", -9, -9), (":", -9, -9), (" ten", -9, -9), start=10) == ("ten",)


@pytest.mark.parametrize(("alone", "behind"), [([], [-9.0]), ([-9.0], []), ([-9.0, -9.0], [-9.0])])
def test_likelihoods_that_do_not_match(alone, behind):
    """Nothing is named where the tokens of the two readings are not the same."""
    assert unsupported_words("ten", [(0, 3)], alone, behind) == ()


def test_words_that_are_not_found():
    """Without likelihoods a word is looked up, whatever its ending and the spelling of a number."""
    known = set(stems("Two experts of eight are used for 1,024 tokens."))
    assert missing_words("Ten experts used 1024 token of the router.", known) == ("Ten", "router")
    assert missing_words("Two experts.", known) == ()
