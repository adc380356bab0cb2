"""Tables and rows that are called as their makers liked: CSV, JSON and Parquet."""
