"""What an answer cites: its marks, read by rule, and whether what they name supports what it says."""

from rag_evals.evals.judges.citations.marks import CitedAnswer, read_citations

__all__ = ["CitedAnswer", "read_citations"]
