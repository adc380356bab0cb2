"""A program that renders one chat template within bounds: a template is a stranger's program.

It reads `{"source", "tokens", "conversations", "characters", "seconds", "bytes"}` as JSON from stdin and
writes a list to stdout, for each conversation `{"text"}` or `{"error"}`; `{"error"}` alone where the template
cannot be compiled. It is run by its path and imports nothing of this package, so that it starts at once.
"""

from __future__ import annotations

import contextlib
import json
import resource
import sys
from typing import Any


def main() -> None:
    """Render what stdin asks for."""
    asked = json.load(sys.stdin)
    _bound(resource.RLIMIT_CPU, asked["seconds"])
    _bound(resource.RLIMIT_AS, asked["bytes"])
    _bound(resource.RLIMIT_CORE, 0)
    try:
        told: Any = _rendered(asked)
    except Exception as error:  # noqa: BLE001 - a stranger's program may raise anything
        told = {"error": _reason(error)}
    json.dump(told, sys.stdout)


def _bound(what: int, most: int) -> None:
    # Some systems do not know all of them.
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(what, (most, most))


def _rendered(asked: dict[str, Any]) -> list[dict[str, str]]:
    from jinja2 import TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def refuse(message: str) -> None:
        raise TemplateError(message)

    # Set up as transformers does.
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
    )
    environment.globals["raise_exception"] = refuse
    template = environment.from_string(asked["source"])
    return [_turns(template, turns, asked) for turns in asked["conversations"]]


def _turns(template: Any, turns: list[dict[str, str]], asked: dict[str, Any]) -> dict[str, str]:
    try:
        # A model that would think aloud gets an empty thought, where its template knows that switch: the
        # first answer position is then that of the answer.
        text: str = template.render(
            messages=turns, add_generation_prompt=True, enable_thinking=False, **asked["tokens"]
        )
    except Exception as error:  # noqa: BLE001 - as above
        return {"error": _reason(error)}
    if len(text) > asked["characters"]:
        return {"error": f"it writes {len(text):,} characters around a question"}
    return {"text": text}


def _reason(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "it takes too much memory"
    return str(error)[:1000] or type(error).__name__


if __name__ == "__main__":
    main()
