"""How llama.cpp is built: flags by processor and compiler, and the key of a wheel."""

from __future__ import annotations

import dataclasses
import subprocess
from pathlib import Path

import pytest
from rag_evals.rag.native.build import (
    LEAVE_OUT,
    Build,
    Compiler,
    Processor,
    build_environ,
    build_here,
    cmake_args,
    describe_compiler,
    find_compiler,
    this_processor,
    wheels_folder,
)

ZEN = Processor("AMD EPYC", "x86_64", ("avx", "avx2", "bmi2", "f16c", "fma", "sse4_2"))
XEON = dataclasses.replace(ZEN, name="Intel Xeon", features=(*ZEN.features, "amx_int8", "amx_tile"))
ARM = Processor("Neoverse-N1", "aarch64", ("asimd", "fp"))
BUILD = Build("0.3.36", ZEN, "gcc 12.2.0", "-DLLAVA_BUILD=OFF", "glibc 2.36")


def compiler(folder: Path, script: str) -> list[str]:
    """A program that answers as a compiler does."""
    path = folder / "cc"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return [str(path)]


def test_amx_is_switched_off_where_the_compiler_would_switch_it_on():
    amx = Compiler("gcc 12.2.0", ("amx-bf16", "amx-int8", "amx-tile"))
    assert cmake_args(XEON, amx, {}) == (
        "-DLLAVA_BUILD=OFF '-DCMAKE_C_FLAGS=-mno-amx-bf16 -mno-amx-int8 -mno-amx-tile'"
        " '-DCMAKE_CXX_FLAGS=-mno-amx-bf16 -mno-amx-int8 -mno-amx-tile'"
    )
    assert cmake_args(ZEN, Compiler("gcc 12.2.0"), {}) == "-DLLAVA_BUILD=OFF"
    assert cmake_args(XEON, Compiler("gcc 12.2.0", ("amx-tile",)), {"CFLAGS": "-O2 -g"}) == (
        "-DLLAVA_BUILD=OFF '-DCMAKE_C_FLAGS=-O2 -g -mno-amx-tile' -DCMAKE_CXX_FLAGS=-mno-amx-tile"
    )
    assert cmake_args(ARM, Compiler("clang 16"), {}) == "-DLLAVA_BUILD=OFF"


@pytest.mark.parametrize(
    ("processor", "args"),
    [
        (ZEN, "-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF"),
        (XEON, "-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF"),
        (
            Processor("Intel Atom", "x86_64", ("sse4_2",)),
            "-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF -DGGML_AVX=OFF -DGGML_F16C=OFF -DGGML_FMA=OFF"
            " -DGGML_AVX2=OFF -DGGML_BMI2=OFF",
        ),
        (ARM, "-DLLAVA_BUILD=OFF -DGGML_NATIVE=OFF"),
    ],
    ids=lambda value: value.name.replace(" ", "-") if isinstance(value, Processor) else "",
)
def test_a_portable_build_uses_what_the_processor_has_of_x86_64_v3(processor, args):
    amx = Compiler("gcc 12.2.0", ("amx-tile",))
    assert cmake_args(processor, amx, {}, portable=True) == args


def test_a_compiler_is_asked_what_native_means(tmp_path):
    """AMX is read from the macros of -march=native, whatever extensions there will be."""
    script = 'case "$*" in *-march=native*) echo "#define __AMX_TILE__ 1"; echo "#define __AMX_AVX512__ 1";;'
    asked = compiler(tmp_path, script + ' *) echo "gcc (Debian) 12.2.0"; echo "Copyright";; esac')
    assert describe_compiler(asked, {}) == Compiler("gcc (Debian) 12.2.0", ("amx-avx512", "amx-tile"))
    refuses = compiler(tmp_path, 'case "$*" in --version) echo old;; *) exit 1;; esac')
    assert describe_compiler(refuses, {}) == Compiler("old")


def test_the_real_compiler_accepts_the_flags_for_a_processor_with_amx(tmp_path):
    """The compiler's own list of macros for Sapphire Rapids becomes flags that leave none of them."""
    asked = ["cc", "-march=sapphirerapids"]
    if subprocess.run([*asked, "-E", "-x", "c", "/dev/null"], capture_output=True).returncode:
        pytest.skip("this compiler does not build for Sapphire Rapids")
    # The last -march wins, so the question is put through a compiler that answers for that processor.
    script = 'for a; do shift; [ "$a" = -march=native ] || set -- "$@" "$a"; done\n'
    script += 'exec cc -march=sapphirerapids "$@"'
    found = describe_compiler(compiler(tmp_path, script), {"PATH": "/usr/bin:/bin"})
    assert {"amx-bf16", "amx-int8", "amx-tile"} <= set(found.amx)
    flags = [f"-mno-{extension}" for extension in found.amx]
    macros = subprocess.run(
        ["cc", *flags, "-march=sapphirerapids", "-dM", "-E", "-x", "c", "/dev/null"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "__AVX512VNNI__" in macros
    assert "AMX" not in macros


def test_compilers_are_found_as_cmake_finds_them(tmp_path):
    compiler(tmp_path, "exit 0")
    path = {"PATH": str(tmp_path)}
    assert find_compiler("CC", ("cc", "gcc"), path) == ["cc"]
    assert find_compiler("CXX", ("c++", "g++"), path) is None
    assert find_compiler("CC", ("gcc",), {**path, "CC": "cc -m64"}) == ["cc", "-m64"]
    assert find_compiler("CC", ("cc",), {**path, "CC": "elsewhere"}) is None


def test_processors_are_read_from_the_system(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel name\t: AMD EPYC\nflags\t\t: sse4_2 avx\n\nprocessor\t: 1\n")
    assert this_processor(cpuinfo).name == "AMD EPYC"
    assert this_processor(cpuinfo).features == ("avx", "sse4_2")
    assert this_processor(tmp_path / "nothing").features == ()
    assert this_processor(tmp_path / "nothing").name


@pytest.mark.parametrize(
    "change",
    [
        {"version": "0.3.37"},
        {"processor": XEON},
        {"compiler": "gcc 13.1.0"},
        {"cmake_args": "-DLLAVA_BUILD=ON"},
        {"libc": "glibc 2.31"},
        {"portable": True},
    ],
)
def test_a_wheel_is_kept_for_the_build_that_made_it(change):
    """Whatever may make one wheel unlike another is in the key."""
    assert dataclasses.replace(BUILD, **change).key != BUILD.key
    assert dataclasses.replace(BUILD).key == BUILD.key


def test_own_arguments_come_last():
    """CMake takes the last of two: what a user sets wins over ours."""
    build = build_here("0.3.36", {"CMAKE_ARGS": "-DGGML_BLAS=ON", "PATH": "/usr/bin:/bin"})
    assert build.cmake_args.endswith(" -DGGML_BLAS=ON")
    environ = build_environ(BUILD, {"HOME": "/h", "CMAKE_BUILD_PARALLEL_LEVEL": "7"})
    assert environ == {
        "HOME": "/h",
        "CMAKE_ARGS": f"-DCMAKE_PROJECT_llama_cpp_INCLUDE={LEAVE_OUT} -DLLAVA_BUILD=OFF",
        "CMAKE_BUILD_PARALLEL_LEVEL": "7",
    }
    assert LEAVE_OUT.exists()


def test_wheels_lie_beside_the_models():
    assert wheels_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/rag-evals/llama.cpp")
    assert wheels_folder({}) == Path.home() / ".cache/rag-evals/llama.cpp"
