"""A project and a llama-cpp-python in small: real archives that pip builds with the real compiler.

The library of the small llama-cpp-python runs an illegal instruction where it is told to, as a build for
another processor does. All of it is found in a folder, so that pip asks no index.
"""

from __future__ import annotations

import json
import tarfile
import zipfile
from pathlib import Path

from rag_evals.rag.native.small_model import LOGITS, WORDS

VERSION = "9.9"

PROJECT = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""

# Both packages' build backend: one wheel of the files that `contents` returns.
BACKEND = """\
import os, subprocess, zipfile
from pathlib import Path

NAME, VERSION, NEEDS = {name!r}, {version!r}, {needs!r}
METADATA = f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n{{NEEDS}}"
WHEEL = "Wheel-Version: 1.0\\nRoot-Is-Purelib: false\\nTag: py3-none-any\\n"

def prepare_metadata_for_build_wheel(folder, config_settings=None):
    made = Path(folder, f"{{NAME}}-{{VERSION}}.dist-info")
    made.mkdir()
    (made / "METADATA").write_text(METADATA)
    (made / "WHEEL").write_text(WHEEL)
    return made.name

prepare_metadata_for_build_editable = prepare_metadata_for_build_wheel

def build_wheel(folder, config_settings=None, metadata_directory=None):
    name = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    with zipfile.ZipFile(Path(folder, name), "w") as wheel:
        for path, data in contents().items():
            wheel.writestr(path, data)
        wheel.writestr(f"{{info}}/METADATA", METADATA)
        wheel.writestr(f"{{info}}/WHEEL", WHEEL)
        wheel.writestr(f"{{info}}/RECORD", "")
    return name

build_editable = build_wheel

def contents():
    return {{}}
"""

COMPILES = """
def contents():
    args, illegal = os.environ["CMAKE_ARGS"], {illegal!r}
    is_illegal = illegal == "always" or (illegal == "native" and "-DGGML_NATIVE=OFF" not in args)
    command = ["cc", "-shared", "-fPIC", "native.c", "-o", "libnative.so"]
    subprocess.run(command + ["-DILLEGAL"] * is_illegal, check=True)
    names = ("__init__.py", "libnative.so", "logits.json")
    found = {{f"llama_cpp/{{name}}": Path(name).read_bytes() for name in names}}
    return found | {{"llama_cpp/cmake_args.txt": args}}
"""

NATIVE = """\
int compute(void) {
#ifdef ILLEGAL
#ifdef __x86_64__
    __asm__ volatile("ud2");
#else
    __asm__ volatile(".inst 0");
#endif
#endif
    return 0;
}
"""

LLAMA_CPP = '''\
"""As much of llama_cpp as the self-test uses."""
import ctypes, json
from pathlib import Path

__version__ = "9.9"
_library = ctypes.CDLL(str(Path(__file__).with_name("libnative.so")))
_logits = json.loads(Path(__file__).with_name("logits.json").read_text())

def llama_print_system_info():
    return b"CPU : SSE3 = 1 | AVX2 = 1 | AMX_INT8 = 0 | REPACK = 1 | "

class Llama:
    def __init__(self, model, **options):
        assert Path(model).read_bytes()[:4] == b"GGUF"
        self.ctx = iter(_logits)

    def eval(self, tokens):
        _library.compute()

    def n_vocab(self):
        return len(_logits[0])

def llama_get_logits(ctx):
    return next(ctx)
'''


def write_project(
    root: Path, archives: Path, *, illegal: str, native: str = NATIVE, off: float = 0.0
) -> None:
    """Write a project to `root` that needs a llama-cpp-python and one other package, both in `archives`.

    Args:
        root: The project's folder.
        archives: The folder that pip is to look into.
        illegal: When the library dies: "never", in a build for this processor ("native"), or "always".
        native: The source of the library.
        off: What is added to each logit.
    """
    root.mkdir()
    archives.mkdir(exist_ok=True)
    needs = "Provides-Extra: dev\nRequires-Dist: llama-cpp-python\nRequires-Dist: other\n"
    (root / "pyproject.toml").write_text(PROJECT)
    (root / "backend.py").write_text(BACKEND.format(name="project", version="1", needs=needs))
    (root / "constraints.txt").write_text(f"# pinned\nllama_cpp_python=={VERSION}\nother==1\n")
    logits = [[value + off for value in row] + [0.0] * (WORDS - len(row)) for row in LOGITS]
    files = {
        "pyproject.toml": PROJECT,
        "backend.py": BACKEND.format(name="llama_cpp_python", version=VERSION, needs="")
        + COMPILES.format(illegal=illegal),
        "native.c": native,
        "__init__.py": LLAMA_CPP,
        "logits.json": json.dumps(logits),
        "PKG-INFO": f"Metadata-Version: 2.1\nName: llama_cpp_python\nVersion: {VERSION}\n",
    }
    folder = root / f"llama_cpp_python-{VERSION}"
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    with tarfile.open(archives / f"{folder.name}.tar.gz", "w:gz") as archive:
        archive.add(folder, folder.name)
    with zipfile.ZipFile(archives / "other-1-py3-none-any.whl", "w") as wheel:
        info = "other-1.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: other\nVersion: 1\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
