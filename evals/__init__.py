"""The evaluation harness: questions, judges, engine, records, gate and the pytest plugin."""
