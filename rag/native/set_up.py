"""The set-up of a checkout, which `make setup` runs as a program with the folder of the environment.

Makes the environment, installs the pinned packages while llama.cpp is compiled beside them, and tries what
came out. Runs before anything is installed: the standard library only.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from rag_evals.rag.native.build import (
    PACKAGE,
    Build,
    build_environ,
    build_here,
    cores,
    this_processor,
    wheels_folder,
)
from rag_evals.rag.native.checks import SetUpError, check_machine
from rag_evals.rag.native.jobs import Job, finished, say, telling_lines, timed
from rag_evals.rag.native.self_test import self_test


@dataclass(frozen=True, slots=True)
class Place:
    """Where everything goes: the project's folder, its environment, and the environment of variables."""

    root: Path
    venv: Path
    environ: Mapping[str, str]

    @property
    def python(self) -> Path:
        """The interpreter of the environment."""
        return self.venv / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """Written last: what was installed and how llama.cpp was built."""
        return self.venv / "set-up.json"

    @property
    def log(self) -> Path:
        """All that pip and the compiler said."""
        return self.venv / "set-up.log"

    def pip(self, *arguments: str | Path) -> list[str]:
        """Return a command of the environment's pip."""
        common = ["--quiet", "--no-input", "--disable-pip-version-check"]
        return [str(self.python), "-P", "-m", "pip", *map(str, arguments), *common]


def main(arguments: list[str] | None = None) -> int:
    """Set up; return 0, or 1 after what is wrong was said."""
    parser = argparse.ArgumentParser(prog="set_up", description="Set up rag-evals in the current folder.")
    parser.add_argument("venv", type=Path, help="folder of the environment")
    options = parser.parse_args(arguments)
    # PYTHONPATH leads to this file; in pip's builds it would only be in the way. And what ensurepip and the
    # builds start is not to look into this folder either.
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environ["PYTHONSAFEPATH"] = "1"
    try:
        set_up(Place(Path.cwd(), options.venv.absolute(), environ))
    except SetUpError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: the next make goes on from the beginning", file=sys.stderr)
        return 130
    return 0


def set_up(place: Place) -> None:
    """Bring the environment to what the project asks for, with a llama.cpp that works on this machine.

    Raises:
        SetUpError: Something that is needed is missing, or a step failed.
    """
    wanted = requirements_digest(place.root)
    processor = this_processor().name
    if wanted == installed(place).get("requirements"):
        # Each time: the folder may have moved to another machine, or be shared with one.
        problem = self_test(place.python, processor).problem
        if not problem:
            return
        say(problem)
    check_machine(place.venv, place.environ)
    began = time.monotonic()
    say(f"setting up {place.venv.name}, {cores()} cores")
    if not has_pip(place):
        with timed("making the environment"):
            make_environment(place)
    place.stamp.unlink(missing_ok=True)  # until all of it is true again
    place.log.write_text("", encoding="utf-8")
    build = install(place)
    stamp = {"requirements": wanted, "build": asdict(build)}
    place.stamp.write_text(json.dumps(stamp, indent=1) + "\n", encoding="utf-8")
    say(f"set up after {time.monotonic() - began:.0f} s")


def requirements_digest(root: Path) -> str:
    """Return a digest of what the project asks for."""
    names = ("pyproject.toml", "constraints.txt")
    return hashlib.sha256(b"\0".join((root / name).read_bytes() for name in names)).hexdigest()


def installed(place: Place) -> dict[str, object]:
    """Return what the last whole set-up wrote, nothing if there was none."""
    try:
        stamp = json.loads(place.stamp.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def has_pip(place: Place) -> bool:
    """Return whether the environment is there and whole enough to install into."""
    if not place.python.exists():
        return False
    return (
        subprocess.run(
            [place.python, "-P", "-c", "import pip"], env=place.environ, capture_output=True
        ).returncode
        == 0
    )


def make_environment(place: Place) -> None:
    """Make the environment anew.

    Raises:
        SetUpError: Python could not make it.
    """
    # In two steps, as the first says nothing of why the second failed.
    run(place, [sys.executable, "-P", "-m", "venv", "--clear", "--without-pip", str(place.venv)])
    run(place, [str(place.python), "-P", "-m", "ensurepip", "--default-pip"])


def install(place: Place) -> Build:
    """Install everything; return how the llama.cpp that passed the self-test was built.

    Raises:
        SetUpError: A step failed, or no build of llama.cpp works here.
    """
    packages = pinned_packages(place.root)
    version = packages.pop(PACKAGE, None)
    if version is None:
        raise SetUpError("constraints.txt does not pin llama_cpp_python: restore it from the repository")
    build = build_here(version, place.environ)
    wheels = wheels_folder(place.environ) / build.key
    with tempfile.TemporaryDirectory(prefix="rag-evals-") as folder:
        wheel = kept_wheel(wheels)
        if wheel and json.loads((wheels / "build.json").read_text("utf-8"))["portable"]:
            build = build_here(version, place.environ, portable=True)
        compiled = None if wheel else compile_command(place, version, Path(folder))
        install_packages(place, packages, compiled, build)
        wheel = wheel or the_wheel(Path(folder))
        with timed("installing rag-evals"):
            run(place, place.pip("install", "--no-deps", "--force-reinstall", wheel))
            run(place, place.pip("install", "-c", "constraints.txt", "-e", ".[dev]"))
        problem = check_build(place, build)
        if problem:
            say(f"  {problem}; building once more for any processor of its kind")
            build = build_here(version, place.environ, portable=True)
            again = Path(folder) / "portable"
            with timed("compiling llama.cpp, portable"):
                run(place, compile_command(place, version, again), build_environ(build, place.environ))
            wheel = the_wheel(again)
            run(place, place.pip("install", "--no-deps", "--force-reinstall", wheel))
            problem = check_build(place, build)
        if problem:
            raise SetUpError(
                f"{problem}; a portable build does not help: try another compiler,"
                " CC=clang CXX=clang++ make setup"
            )
        keep_wheel(wheel, wheels, build)
    return build


def pinned_packages(root: Path) -> dict[str, str]:
    """Return the versions in constraints.txt by package, its name with underscores."""
    lines = (root / "constraints.txt").read_text("utf-8").splitlines()
    pairs = (line.split("==") for line in lines if "==" in line and not line.startswith("#"))
    return {name.strip().lower().replace("-", "_"): version.strip() for name, version in pairs}


def compile_command(place: Place, version: str, folder: Path) -> list[str]:
    """Return the command that compiles llama-cpp-python to a wheel in `folder`.

    Without pip's cache: it would take the wheel of another processor, compiler or other flags.
    """
    where = ("--no-deps", "--no-cache-dir", "--no-binary", PACKAGE, "--wheel-dir", folder)
    return place.pip("wheel", *where, f"{PACKAGE}=={version}")


def install_packages(
    place: Place, pinned: Mapping[str, str], compiling: list[str] | None, build: Build
) -> None:
    """Install the pinned packages, and compile llama.cpp beside that.

    Raises:
        SetUpError: llama.cpp could not be compiled.
    """
    with tempfile.TemporaryDirectory(prefix="rag-evals-") as folder:
        listed = Path(folder) / "pinned.txt"
        listed.write_text("".join(f"{name}=={version}\n" for name, version in pinned.items()), "utf-8")
        jobs = {"packages installed": Job(place.pip("install", "--no-deps", "-r", listed), place.environ)}
        if compiling:
            say(f"  installing {len(pinned)} packages, compiling llama.cpp beside that ...")
            jobs["llama.cpp compiled"] = Job(compiling, build_environ(build, place.environ))
        else:
            say(f"  installing {len(pinned)} packages; llama.cpp was compiled here before ...")
        try:
            for label, job in finished(jobs):
                place_log(place, job.said)
                if not job.status:
                    say(f"    {label} after {job.seconds:.0f} s")
                elif "compiled" in label:
                    raise failure(place, job.said)
                # Packages that do not exist for this Python or system: pip's own choice comes next.
        finally:
            for job in jobs.values():
                job.end()


def run(place: Place, command: list[str], environ: Mapping[str, str] | None = None) -> None:
    """Run one command to its end, its output into the log.

    Raises:
        SetUpError: It failed; with the lines that say why.
    """
    job = Job(command, environ or place.environ)
    try:
        for _ in finished({"": job}):
            place_log(place, job.said)
            if job.status:
                raise failure(place, job.said)
    finally:
        job.end()


def failure(place: Place, said: str) -> SetUpError:
    """Return the error of a command that failed: the lines of its output that say why."""
    if "no space left on device" in said.lower():
        free = ", ".join(
            f"{shutil.disk_usage(folder).free / 1e9:.1f} GB on the disk of {folder}"
            for folder in (place.root, Path(tempfile.gettempdir()))
        )
        return SetUpError(f"no space left on the disk (free: {free}): make room, then run make again")
    lines = "".join(f"\n  {line}" for line in telling_lines(said))
    return SetUpError(f"the set-up failed; all that was said is in {place.log}{lines}")


def place_log(place: Place, said: str) -> None:
    """Add to the log; a full disk must not hide what is wrong."""
    try:
        with place.log.open("a", encoding="utf-8") as file:
            file.write(said)
    except OSError:
        return


def check_build(place: Place, build: Build) -> str:
    """Run the self-test as a step; return what is wrong, nothing if it passed."""
    with timed("trying llama.cpp with a small model"):
        return self_test(place.python, build.processor.name).problem


def the_wheel(folder: Path) -> Path:
    """Return the wheel that was just made."""
    return next(folder.glob("*.whl"))


def kept_wheel(folder: Path) -> Path | None:
    """Return the wheel of an earlier set-up of the same kind, if there is one."""
    return next(folder.glob("*.whl"), None)


def keep_wheel(wheel: Path, folder: Path, build: Build) -> None:
    """Keep a wheel that passed, for the next environment on this machine."""
    if wheel.parent == folder:
        return
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    (folder / "build.json").write_text(json.dumps(asdict(build), indent=1) + "\n", encoding="utf-8")
    partial = folder / f"{wheel.name}.{os.getpid()}"
    shutil.copyfile(wheel, partial)
    partial.replace(folder / wheel.name)  # last: a wheel that is there is whole


if __name__ == "__main__":
    sys.exit(main())
