"""An environment with the popular plugins of pytest really installed, and our own beside them."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def guest_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has what ours has, and the extra `guests`."""
    folder = tmp_path_factory.mktemp("guests")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    # Packages of this environment count as installed there: only the plugins are fetched.
    found = dict.fromkeys((sysconfig.get_paths()["purelib"], *sys.path))
    lines = [f"import site; site.addsitedir({path!r})\n" for path in found if path.endswith("site-packages")]
    site = folder / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (site / "ours.pth").write_text("".join(lines))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    pip = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        str(python),
        "install",
        "-q",
        "--disable-pip-version-check",
    ]
    command = [*pip, "-c", str(ROOT / "constraints.txt"), *extras["guests"]]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    return python


@pytest.fixture
def run(project, guest_python, monkeypatch):
    """Run pytest in the project as a guest would: in a process of its own, all plugins loaded."""
    monkeypatch.setenv("PYTHONPATH", "")  # the environment alone

    def run_there(*args: str) -> pytest.RunResult:
        # Questions in the order in which they are asked, but where a test is about another.
        order = () if "randomly" in args else ("-p", "no:randomly")
        args = tuple(arg for arg in args if arg != "randomly")
        return project.pytester.run(guest_python, "-m", "pytest", *order, *args)

    return run_there
