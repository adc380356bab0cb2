"""What the rules make of texts: sentences, claims, stock phrases of declining, words."""

from rag_evals.evals.judges.claims.declines import declines, may_decline
from rag_evals.evals.judges.claims.reading import Claim, Claims, read_claims, split_claims
from rag_evals.evals.judges.claims.sentences import TextSpan, split_sentences

__all__ = [
    "Claim",
    "Claims",
    "TextSpan",
    "declines",
    "may_decline",
    "read_claims",
    "split_claims",
    "split_sentences",
]
