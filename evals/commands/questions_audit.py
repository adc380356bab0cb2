"""`rag-evals questions audit`: the rules that a generated set went through, and what each has dropped."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from evals.cli import Commands


def add_to(verbs: Commands) -> None:
    """Declare `audit`."""
    parser = verbs.add_parser(
        "audit", help="what generation kept and dropped, by rule, kind and document, with reasons"
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="a question set of `rag-evals generate`")
    parser.add_argument("--drops", action="store_true", help="show each drop, with its reason and number")
    parser.add_argument(
        "--rule", metavar="NAME", help="show the drops of this rule only; `invalid` is one too"
    )
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    parser.set_defaults(run=_audit)


def _audit(options: argparse.Namespace) -> int:
    import json

    from evals.entries import shown
    from evals.errors import GenerationError, printable
    from evals.generation.audit import audit_of, audit_to_json
    from evals.generation.working import work_path
    from evals.reports.auditing import audit_lines, drop_lines

    work = work_path(options.file)
    if not work.is_file():
        raise GenerationError(
            printable(
                f"{shown(work)} is not there: an audit reads what `rag-evals generate` wrote beside a set"
            )
        )
    audit = audit_of(work)
    names = [*(rule.name for rule in audit.rules), "invalid"]
    if options.rule not in (None, *names):
        raise GenerationError(f"no rule {printable(options.rule)}: one of {', '.join(map(printable, names))}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 100
    if options.json:
        print(json.dumps(audit_to_json(audit), indent=1))
    elif options.rule or options.drops:
        print("\n".join(drop_lines(audit, width, rule=options.rule)[1:]))
    else:
        print("\n".join(audit_lines(audit, width)))
    return 0
