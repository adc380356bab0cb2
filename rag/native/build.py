"""How llama.cpp is built on this machine: processor, compiler, flags, and the wheels that are kept.

Runs before anything is installed: the standard library only.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

PACKAGE = "llama_cpp_python"
LEAVE_OUT = Path(__file__).with_name("leave_out.cmake")
X86_64 = ("x86_64", "amd64")
# What a build without -march=native may use, and what /proc/cpuinfo calls it: x86-64-v3, less what this
# processor lacks. llama.cpp switches all of them on when its own look at the processor is off.
PORTABLE = {
    "SSE42": "sse4_2",
    "AVX": "avx",
    "F16C": "f16c",
    "FMA": "fma",
    "AVX2": "avx2",
    "BMI2": "bmi2",
}


@dataclass(frozen=True, slots=True)
class Processor:
    """A processor: its name, its architecture and the instructions that it says it has."""

    name: str
    machine: str
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Compiler:
    """The C compiler that CMake will take, and its AMX extensions that -march=native would switch on."""

    name: str
    amx: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Build:
    """One way to build one version of llama-cpp-python here.

    Attributes:
        version: The version of llama-cpp-python.
        processor: The processor that it is built on.
        compiler: The first line of what the compiler says of itself.
        cmake_args: The arguments for CMake that change what is compiled, the user's own last.
        libc: The C library that it is linked with: the wheel runs on no older one.
        portable: Whether it is built without -march=native.
    """

    version: str
    processor: Processor
    compiler: str
    cmake_args: str
    libc: str
    portable: bool = False

    @property
    def key(self) -> str:
        """A digest of everything that makes one wheel unlike another: what pip's cache does not know."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]


def this_processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> Processor:
    """Return the processor of this machine, without features where the system does not list them."""
    machine = platform.machine()
    try:
        text = cpuinfo.read_text("utf-8", errors="replace")
    except OSError:
        return Processor(platform.processor() or machine, machine, ())
    fields = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in text.splitlines())
    }
    features = fields.get("flags") or fields.get("Features") or ""
    name = fields.get("model name") or platform.processor() or machine
    return Processor(name, machine, tuple(sorted(features.split())))


def find_compiler(variable: str, names: tuple[str, ...], environ: Mapping[str, str]) -> list[str] | None:
    """Return the command of a compiler as CMake finds it: by its variable, else the first of its names."""
    given = shlex.split(environ.get(variable, ""))
    for command in [given] if given else [[name] for name in names]:
        if shutil.which(command[0], path=environ.get("PATH")):
            return command
    return None


def c_compiler(environ: Mapping[str, str]) -> list[str] | None:
    """Return the command of the C compiler, None if there is none."""
    return find_compiler("CC", ("cc", "gcc", "clang"), environ)


def cxx_compiler(environ: Mapping[str, str]) -> list[str] | None:
    """Return the command of the C++ compiler, None if there is none."""
    return find_compiler("CXX", ("c++", "g++", "clang++"), environ)


def describe_compiler(command: list[str], environ: Mapping[str, str]) -> Compiler:
    """Ask a compiler for its name and for what -march=native means to it on this machine."""
    version = _output([*command, "--version"], environ)
    macros = _output([*command, "-march=native", "-dM", "-E", "-x", "c", os.devnull], environ)
    amx = re.findall(r"^#define __AMX_(\w+?)__ ", macros, re.MULTILINE)
    name = next(iter(version.splitlines()), command[0])
    return Compiler(name, tuple(sorted(f"amx-{extension.lower().replace('_', '-')}" for extension in amx)))


def _output(command: list[str], environ: Mapping[str, str]) -> str:
    ran = subprocess.run(
        command, env=dict(environ), capture_output=True, text=True, errors="replace", check=False
    )
    return ran.stdout


def build_here(version: str, environ: Mapping[str, str], *, portable: bool = False) -> Build:
    """Return how llama-cpp-python `version` is built with the compiler and processor of this machine."""
    processor = this_processor()
    compiler = describe_compiler(c_compiler(environ) or ["cc"], environ)
    args = cmake_args(processor, compiler, environ, portable=portable)
    given = environ.get("CMAKE_ARGS", "")
    libc = " ".join(platform.libc_ver())
    return Build(version, processor, compiler.name, f"{args} {given}".strip(), libc, portable)


def cmake_args(
    processor: Processor, compiler: Compiler, environ: Mapping[str, str], *, portable: bool = False
) -> str:
    """Return our arguments for CMake, to be put before the user's own so that theirs win."""
    args = ["-DLLAVA_BUILD=OFF"]
    without_amx = [f"-mno-{extension}" for extension in compiler.amx]
    if portable:
        args.append("-DGGML_NATIVE=OFF")
        without_amx = []
        if processor.machine.lower() in X86_64:
            lacking = [option for option, name in PORTABLE.items() if name not in processor.features]
            args += [f"-DGGML_{option}=OFF" for option in lacking]
    # AMX is off because gcc 12's _tile_loadconfig does not tell the compiler that it reads memory: the stores
    # of llama.cpp's tile configuration are optimised away, and the first tile instruction is illegal
    # (ggml-org/llama.cpp pull request 26954). Only where -march=native would switch it on: compilers for
    # other processors refuse these flags. CMake reads CFLAGS only where it is not told otherwise.
    for language, variable in (("C", "CFLAGS"), ("CXX", "CXXFLAGS")):
        flags = " ".join([*shlex.split(environ.get(variable, "")), *without_amx])
        args += [f"-DCMAKE_{language}_FLAGS={flags}"] if flags else []
    return shlex.join(args)


def build_environ(build: Build, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment in which pip compiles `build`."""
    # The file's own path is no part of the key: every checkout makes the same wheel.
    args = shlex.join([f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={LEAVE_OUT}"])
    made = {**environ, "CMAKE_ARGS": f"{args} {build.cmake_args}"}
    made.setdefault("CMAKE_BUILD_PARALLEL_LEVEL", str(cores()))
    return made


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def wheels_folder(environ: Mapping[str, str]) -> Path:
    """Return the folder of wheels that passed the self-test, one folder a key, beside the models."""
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "rag-evals" / "llama.cpp"
