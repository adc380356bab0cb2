"""One option: for the command line, the ini file, and the settings that come of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from rag_evals.evals.base.errors import UsageError
from rag_evals.evals.plugin.terminal.pytest_internals import is_in_ini, toml_value

if TYPE_CHECKING:
    import pytest

# How the value of an option is read: by `READERS` of `option_values`, imported by sessions that evaluate.
Kind = Literal[
    "address",
    "as_it_is",
    "bound",
    "collector",
    "conditions",
    "count",
    "folder",
    "if_any",
    "inconclusive",
    "mask",
    "metrics",
    "mode",
    "names",
    "negated",
    "number",
    "part",
    "path",
    "paths",
    "project",
    "questions",
    "refresh",
    "resources",
    "retrieval_metrics",
    "seconds",
    "shard",
    "share",
    "thresholds",
    "wandb_runs",
    "whole",
]

# Ini types by the type of the default.
_KINDS: Mapping[type, Literal["string", "args", "bool", "linelist"]] = {
    str: "string",
    list: "args",
    bool: "bool",
    tuple: "linelist",
}


@dataclass(frozen=True, slots=True)
class Given:
    """What is said of an option.

    Attributes:
        name: The option, as the ini file spells it.
        value: What the command line says, else the ini file, else the default.
        start: Where relative paths start from: on the command line the folder pytest was called in, in the
            ini file the folder of that file.
        is_typed: Whether the command line says it.
        is_default: Whether neither the command line nor the ini file says it.
    """

    name: str
    value: Any
    start: Path
    is_typed: bool = False
    is_default: bool = False


@dataclass(frozen=True, slots=True)
class Option:
    """One setting: `--evals-NAME` on the command line, `evals_NAME` in the ini file.

    Attributes:
        field: The field of the settings that it becomes; `GROUP.FIELD` in one of their parts.
        kind: How the value is read.
        default: What counts when neither says anything: a text, a list (words) or a tuple (lines) where the
            option may be given several times, False for a switch.
        help: One line.
        metavar: What stands for the value in `--help`.
        called: The name with dashes, where it is not that of the field.
        is_added: Whether the command line adds to what the ini file says, in place of replacing it.
        bare: What it says where it is given without a value; "" where it needs one.
    """

    field: str
    kind: Kind
    default: str | list[str] | tuple[str, ...] | bool
    help: str
    metavar: str = "TEXT"
    called: str = ""
    is_added: bool = False
    bare: str = ""

    @property
    def name(self) -> str:
        """The name behind the prefix, with dashes."""
        return self.called or self.field.rpartition(".")[2].replace("_", "-")

    @property
    def flag(self) -> str:
        """Spelling on the command line."""
        return f"--evals-{self.name}"

    @property
    def ini(self) -> str:
        """Spelling in the ini file."""
        return f"evals_{self.name.replace('-', '_')}"

    def add_to(self, parser: pytest.Parser, group: pytest.OptionGroup) -> None:
        """Declare it for the command line and the ini file."""
        kind = _KINDS[type(self.default)]
        default = list(self.default) if isinstance(self.default, tuple) else self.default
        parser.addini(self.ini, self.help, type=kind, default=default)
        if kind == "bool":
            group.addoption(self.flag, action="store_true", default=None, help=self.help)
            return
        if self.bare:
            group.addoption(
                self.flag, nargs="?", const=self.bare, metavar=self.metavar, default=None, help=self.help
            )
            return
        action = "store" if kind == "string" else "append"
        group.addoption(self.flag, action=action, metavar=self.metavar, default=None, help=self.help)

    def given(self, config: pytest.Config) -> Given:
        """Return what is said of it."""
        typed = config.getoption(self.ini)
        if typed is None:
            # `--rootdir` may name another place than where the ini file is.
            file = getattr(config, "inipath", None)
            start = file.parent if file else config.rootpath
            return Given(self.ini, self.in_file(config), start, is_default=not is_in_ini(config, self.ini))
        value = [*self.in_file(config), *typed] if self.is_added else typed
        return Given(self.ini, value, config.invocation_params.dir, is_typed=True)

    def in_file(self, config: pytest.Config) -> Any:
        """Return what the ini file says, or the default; a typed value of TOML as the text that it is.

        Raises:
            UsageError: It is of a type that no setting has.
        """
        value, kind = toml_value(config, self.ini), type(self.default)
        if value is None:
            return config.getini(self.ini)
        if kind is bool and isinstance(value, bool):
            return value
        if kind in (list, tuple) and isinstance(value, list) and all(map(_is_scalar, value)):
            return [str(one) for one in value]
        if kind is not bool and _is_scalar(value):
            return [str(value)] if kind in (list, tuple) else str(value)
        wanted = {bool: "true or false", str: "a text or a number"}.get(kind, "a list of texts or numbers")
        raise UsageError(f"{self.ini} = {value!r}: it takes {wanted}")


def _is_scalar(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)
