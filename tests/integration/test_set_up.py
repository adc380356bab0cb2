"""The set-up, with real environments, pip and compiler, and processes that really die."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
from rag_evals.rag.native.build import build_here, cores, this_processor
from rag_evals.rag.native.diagnosis import REMEDY

from tests.servers.stub_packages import NATIVE, write_project

ROOT = Path(__file__).parents[2]
PROCESSOR = this_processor().name
DIED = f"the self-test of llama.cpp died of SIGILL: this build is not for this processor ({PROCESSOR})"


class Lab:
    """A small project in a folder, its archives and caches beside it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root, self.archives = folder, folder / "project", folder / "archives"
        self.wheels = folder / "cache" / "rag-evals" / "llama.cpp"

    def set_up(self, **variables: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up as the Makefile does; times in its output read `N s`."""
        environ = {key: text for key, text in os.environ.items() if not key.startswith(("PIP_", "CMAKE"))}
        environ |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.archives)}
        environ |= {"XDG_CACHE_HOME": str(self.folder / "cache"), "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-P", "-m", "rag_evals.rag.native.set_up", ".venv"]
        ran = subprocess.run(
            command, cwd=self.root, env=environ | variables, capture_output=True, text=True, timeout=300
        )
        ran.stdout = re.sub(r"\d+(\.\d)? s$", "N s", ran.stdout, flags=re.MULTILINE)
        return ran

    def doctor(self) -> subprocess.CompletedProcess[str]:
        """Run `rag-evals doctor --build` in the small project's environment; times read `N s`."""
        site = Path(numpy.__file__).parents[1]  # what the command itself imports is installed here
        command = [self.root / ".venv/bin/python", "-P", "-m", "rag_evals.evals.cli", "doctor", "--build"]
        environ = {**os.environ, "PYTHONPATH": f"{ROOT}:{site}"}
        ran = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60)
        ran.stdout = re.sub(r"\d+\.\d s$", "N s", ran.stdout, flags=re.MULTILINE)
        return ran

    def installed(self, name: str) -> Path:
        """Return a file of the installed llama_cpp."""
        (folder,) = self.root.glob(".venv/lib/python3*/site-packages/llama_cpp")
        return folder / name


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def lines(text: str) -> list[str]:
    """The lines of a set-up, those of the two jobs beside each other in a fixed order."""
    found = text.splitlines()
    beside = [at for at, line in enumerate(found) if line.startswith("    ")]
    return [*found[: beside[0]], *sorted(found[at] for at in beside), *found[beside[-1] + 1 :]]


SET_UP = [
    f"setting up .venv, {cores()} cores",
    "  making the environment ... N s",
    "  installing 1 packages, compiling llama.cpp beside that ...",
    "    llama.cpp compiled after N s",
    "    packages installed after N s",
    "  installing rag-evals ... N s",
    "  trying llama.cpp with a small model ... N s",
]


def test_a_build_that_dies_is_made_again_for_any_processor(lab):
    """The first build dies of a real illegal instruction; the portable one works and is kept."""
    write_project(lab.root, lab.archives, illegal="native")
    ran = lab.set_up(CMAKE_ARGS="-DTHEIRS=1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert lines(ran.stdout) == [
        *SET_UP,
        f"  {DIED}; building once more for any processor of its kind",
        "  compiling llama.cpp, portable ... N s",
        "  trying llama.cpp with a small model ... N s",
        "set up after N s",
    ]
    build = json.loads((lab.root / ".venv" / "set-up.json").read_text())["build"]
    assert build["portable"] is True
    assert build["processor"]["name"] == PROCESSOR
    args = lab.installed("cmake_args.txt").read_text()
    assert args.endswith(" -DTHEIRS=1")
    assert "-DLLAVA_BUILD=OFF" in args
    assert "-DGGML_NATIVE=OFF" in args

    again = lab.set_up(CMAKE_ARGS="-DTHEIRS=1")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")

    shutil.rmtree(lab.root / ".venv")
    anew = lab.set_up(CMAKE_ARGS="-DTHEIRS=1")
    assert (anew.returncode, anew.stderr) == (0, "")
    assert lines(anew.stdout) == [
        *SET_UP[:2],
        "  installing 1 packages; llama.cpp was compiled here before ...",
        *SET_UP[4:],
        "set up after N s",
    ]
    assert json.loads((lab.root / ".venv" / "set-up.json").read_text())["build"]["portable"] is True


def test_a_build_that_always_dies_ends_the_set_up_with_the_remedy(lab):
    """Two builds die: one line with what to do, no environment that counts as set up, no wheel kept."""
    write_project(lab.root, lab.archives, illegal="always")
    ran = lab.set_up()
    assert ran.returncode == 1
    assert ran.stderr == (
        f"{DIED}; a portable build does not help: try another compiler, CC=clang CXX=clang++ make setup\n"
    )
    assert not (lab.root / ".venv" / "set-up.json").exists()
    assert list(lab.wheels.rglob("*.whl")) == []


def test_a_library_of_another_processor_is_noticed_by_the_next_make(lab):
    """An environment that another machine shares: noticed before anything runs, and mended from the cache."""
    write_project(lab.root, lab.archives, illegal="never")
    assert lab.set_up().returncode == 0
    source, library = lab.folder / "native.c", lab.installed("libnative.so")
    source.write_text(NATIVE)
    sound = library.read_bytes()
    subprocess.run(["cc", "-shared", "-fPIC", "-DILLEGAL", source, "-o", library], check=True)
    ran = lab.set_up()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert lines(ran.stdout) == [
        DIED,
        SET_UP[0],
        "  installing 1 packages; llama.cpp was compiled here before ...",
        *SET_UP[4:],
        "set up after N s",
    ]
    assert library.read_bytes() == sound
    assert lab.set_up().stdout == ""


def test_the_doctor_says_what_was_built_and_whether_it_works(lab):
    """Processor, compiler, flags, version; an illegal instruction is one line with its remedy."""
    write_project(lab.root, lab.archives, illegal="never")
    assert lab.set_up().returncode == 0
    build = build_here("9.9", {**os.environ, "CMAKE_ARGS": ""})
    about = [
        f"processor: {PROCESSOR} ({build.processor.machine})",
        f"llama.cpp: llama-cpp-python 9.9, native, by {build.compiler} with {build.cmake_args}",
        "compiled for: SSE3 AVX2 REPACK",
    ]
    ran = lab.doctor()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [*about, "self-test: passed in N s"]

    library = lab.installed("libnative.so")
    (lab.folder / "native.c").write_text(NATIVE)
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-DILLEGAL", lab.folder / "native.c", "-o", library], check=True
    )
    ran = lab.doctor()
    assert (ran.returncode, ran.stderr) == (4, f"ERROR: {DIED}; {REMEDY}\n")
    assert ran.stdout.splitlines() == about

    library.write_bytes(b"no library")
    ran = lab.doctor()
    assert ran.returncode == 4
    assert ran.stderr == (
        f"ERROR: the self-test of llama.cpp failed: OSError: {library}: file too short; {REMEDY}\n"
    )
    assert ran.stdout.splitlines()[1].startswith(
        "llama.cpp: llama-cpp-python (cannot be loaded), native, by "
    )


def test_a_kept_wheel_that_dies_is_not_taken_again(lab):
    """A broken wheel under the right key is noticed, and the one that works takes its place."""
    write_project(lab.root, lab.archives, illegal="never")
    assert lab.set_up().returncode == 0
    (kept,) = lab.wheels.rglob("*.whl")
    other = Lab(lab.folder / "other")
    other.folder.mkdir()
    write_project(other.root, other.archives, illegal="always")
    backend = other.root / "llama_cpp_python-9.9"
    made = "import os, backend; os.environ['CMAKE_ARGS'] = ''; print(backend.build_wheel('.'))"
    subprocess.run([sys.executable, "-c", made], cwd=backend, check=True)
    shutil.copyfile(backend / kept.name, kept)
    shutil.rmtree(lab.root / ".venv")
    ran = lab.set_up()
    assert (ran.returncode, ran.stderr) == (0, "")
    assert f"  {DIED}; building once more for any processor of its kind" in ran.stdout.splitlines()
    assert kept.read_bytes() != (backend / kept.name).read_bytes()


def test_a_compiler_error_is_shown_without_the_rest(lab):
    """Of all that pip and the compiler say the lines that tell are shown, and where the rest is."""
    write_project(lab.root, lab.archives, illegal="never", native="int compute(void) { return nowhere; }\n")
    ran = lab.set_up()
    assert ran.returncode == 1
    head, *told = ran.stderr.splitlines()
    assert head == f"the set-up failed; all that was said is in {lab.root}/.venv/set-up.log"
    assert [line for line in told if "native.c:1:28: error: " in line] == told[:1]
    assert len(told) <= 8
    assert "Traceback" in (lab.root / ".venv" / "set-up.log").read_text()


def test_wrong_numbers_are_no_better_than_death(lab):
    """A library that survives and computes something else does not pass."""
    write_project(lab.root, lab.archives, illegal="never", off=0.5)
    ran = lab.set_up()
    assert ran.returncode == 1
    assert ran.stderr == (
        "the self-test of llama.cpp computed wrong numbers: 2.41 in place of 1.91 (step 1, logit 0);"
        " a portable build does not help: try another compiler, CC=clang CXX=clang++ make setup\n"
    )
