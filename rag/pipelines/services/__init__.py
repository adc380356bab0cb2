"""Services that are asked over HTTP, as pipelines."""
