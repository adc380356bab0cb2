"""Evaluations made: answer and judgement, cache, budget, look-ahead."""
