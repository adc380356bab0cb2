"""Which versions are installed of what may change a result."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

PACKAGES = (
    "rag-evals",
    "llama-cpp-python",
    "llama-index-core",
    "sentence-transformers",
    "transformers",
    "torch",
    "numpy",
    "scipy",
    "pypdf",
    "pytest",
)


def installed_versions() -> dict[str, str]:
    """Give the version by package, of those that are installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
