"""The steps of a composite action of GitHub, run as its runner runs them: those with a script."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml


@dataclass
class Job:
    """One job that uses an action.

    Args:
        action: The file of the action.
        workspace: The checkout that it works on.
        environment: What the job has, GitHub's own variables among it.
        inputs: Those that are given; the others have their defaults.
        left_out: Ids of steps that are not run.

    Attributes:
        used: Steps that use another action, by its name, with what they give it.
        said: What each step printed, by its id.
        statuses: Exit status of each step that ran, by its id.
    """

    action: Path
    workspace: Path
    environment: Mapping[str, str]
    inputs: Mapping[str, str]
    left_out: tuple[str, ...] = ()
    used: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    said: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)

    def run(self) -> int:
        """Run the steps; return the first exit status that is none of success."""
        about = yaml.safe_load(self.action.read_text("utf-8"))
        self._outputs: dict[str, str] = {}
        github = {"github.run_id": "99", "github.run_attempt": "1", "github.token": "good"}
        defaults = {f"inputs.{name}": str(one.get("default", "")) for name, one in about["inputs"].items()}
        given = {f"inputs.{name}": value for name, value in self.inputs.items()}
        assert given.keys() <= defaults.keys()
        self._known = {**github, **defaults, **given}
        status = 0
        for step in about["runs"]["steps"]:
            if not self._is_run(step, failed=bool(status)):
                continue
            if "uses" in step:
                self.used.append((step["uses"], {k: self._filled(v) for k, v in step["with"].items()}))
            elif step["id"] not in self.left_out:
                status = self._script(step) or status
        return status

    def _is_run(self, step: Mapping[str, Any], *, failed: bool) -> bool:
        condition = str(step.get("if", "")).removeprefix("${{").removesuffix("}}").strip()
        terms = [term.strip() for term in condition.split("&&")] if condition else []
        if "always()" not in terms and failed:
            return False
        for term in terms:
            if term != "always()":
                name, value = term.split(" != ")
                if self._value(name) == value.strip("'"):
                    return False
        return True

    def _value(self, name: str) -> str:
        if output := re.fullmatch(r"steps\.(\w+)\.outputs\.([\w-]+)", name):
            return self._outputs.get(".".join(output.groups()), "")
        return self._filled(self._known[name])

    def _filled(self, value: object) -> str:
        if isinstance(value, bool):
            return str(value).lower()
        return re.sub(r"\$\{\{ *([\w.-]+) *\}\}", lambda found: self._value(found[1]), str(value))

    def _script(self, step: Mapping[str, Any]) -> int:
        # What is put into a script would be run as a part of it: values come by the environment.
        assert "${{" not in step["run"], step["id"]
        assert step["shell"] == "bash"
        output = self.workspace.parent / f"output-{step['id']}"
        output.touch()
        given = {name: self._filled(value) for name, value in step.get("env", {}).items()}
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
            cwd=self.workspace / self._filled(step.get("working-directory", ".")),
            env={
                **os.environ,
                "GITHUB_ACTIONS": "true",
                "CI": "true",
                "GITHUB_ACTION_PATH": str(self.action.parent),
                "GITHUB_OUTPUT": str(output),
                **self.environment,
                **given,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        for line in output.read_text("utf-8").splitlines():
            name, _, value = line.partition("=")
            self._outputs[f"{step['id']}.{name}"] = value
        self.said[step["id"]] = done.stdout
        self.statuses[step["id"]] = done.returncode
        return done.returncode
