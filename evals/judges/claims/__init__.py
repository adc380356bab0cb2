"""What the rules make of an answer: claims, stock phrases of declining, words."""

from rag_evals.evals.judges.claims.declines import declines, may_decline
from rag_evals.evals.judges.claims.reading import Claim, Claims, read_claims, split_claims

__all__ = [
    "Claim",
    "Claims",
    "declines",
    "may_decline",
    "read_claims",
    "split_claims",
]
