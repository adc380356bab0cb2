"""Side-by-side measurements: each prints one table and writes one JSON file under `results/`."""
