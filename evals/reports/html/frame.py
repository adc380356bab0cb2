"""What every page is made of: our own style and scripts, and a policy that heeds nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any


@cache
def asset(name: str) -> Any:
    """Return a style or a script of ours, as it stands in a page."""
    from markupsafe import Markup

    # Ours, and without a closing tag in it: the only texts here that are not escaped.
    return Markup((files("rag_evals.evals.reports.html") / "templates" / name).read_text("utf-8"))


@cache
def template(name: str) -> Any:
    """Return a template; what it is given is escaped, and what it is not given is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("rag_evals.evals.reports.html"), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template(name)


def policy(styles: Iterable[str], scripts: Iterable[str]) -> str:
    """Return the policy: nothing is loaded, and only this very style and these scripts are heeded."""
    return (
        f"default-src 'none'; style-src {_digests(styles)}; script-src {_digests(scripts)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digests(texts: Iterable[str]) -> str:
    found = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in found)
