"""Commands on recorded runs: reports, comparisons, baselines, replays."""
