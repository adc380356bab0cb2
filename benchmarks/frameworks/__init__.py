"""DeepEval's and ragas' verdicts beside ours: `python -m benchmarks.frameworks`."""
