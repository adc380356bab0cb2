"""The house plan: who may import whom, read from the import statements, and what importing costs."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest

from evals.plugin import pytest_plugins

ROOT = Path(__file__).parents[2]
PACKAGES = ("rag", "evals", "fixtures")
HEAVY = {
    "llama_cpp",
    "llama_index",
    "sentence_transformers",
    "transformers",
    "torch",
    "wandb",
    "deepdiff",
    "scipy",
    "statsmodels",
    "jinja2",
    "huggingface_hub",
    "numpy",
    "pandas",
    "pyarrow",
}
# What of rag the harness may know; those that put the whole together may know all.
# rag.entailment: the cross-encoder judge's model, found and loaded as all others are. rag.bridge:
# LlamaIndex's evaluators are the peer to compare with, on the very model that our judge uses.
KNOWN_OF_RAG = {
    "rag.answer",
    "rag.profile",
    "rag.identity",
    "rag.llm.protocol",
    "rag.embedding",
    "rag.errors",
}
KNOWN_OF_RAG |= {
    "rag.profile",
    "rag.entailment",
    "rag.bridge",
    "rag.loading",
    "rag.llm.deadline",
    "rag.llm.prices",
    "rag.llm.local.local_llm",
}
KNOWN_OF_RAG |= {
    "rag.native.hosting.models_folder",
    "rag.tracing",
    "rag.conventions",
    "rag.attributes",
}  # what a span is, and how its attributes are called
KNOWS_ALL = (
    "evals/generation/",
    "evals/anchoring.py",
    "evals/cli/",
    "evals/suite/",
    "evals/plugin/",
    "evals/judges/choosing.py",
    "evals/generating.py",
)
KNOWS_PYTEST = (
    "evals/plugin/",
    "evals/live_hooks.py",
    "evals/suite/",
    "fixtures/",
)


@dataclass(frozen=True)
class Import:
    """One imported module: where, and when it is imported."""

    file: str
    line: int
    module: str
    is_lazy: bool = False
    is_for_types: bool = False

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.module}"


def files() -> list[Path]:
    return [file for package in PACKAGES for file in sorted((ROOT / package).rglob("*.py"))]


def imports(file: Path) -> Iterator[Import]:
    """Yield every import of a file, those inside functions and for types marked as such."""
    yield from _imports(ast.parse(file.read_text("utf-8")), Import(file.relative_to(ROOT).as_posix(), 0, ""))


def _imports(node: ast.AST, around: Import) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        is_lazy = around.is_lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        is_for_types = around.is_for_types or (
            isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
        )
        for module in _modules(child):
            yield Import(around.file, child.lineno, module, is_lazy, is_for_types)
        yield from _imports(child, Import(around.file, 0, "", is_lazy, is_for_types))


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [name.name for name in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "relative imports hide who imports whom"
        # `from rag import fetching` imports a module of the package
        whole = node.module in PACKAGES
        return [f"{node.module}.{name.name}" if whole else str(node.module) for name in node.names]
    return []


IMPORTS = [found for file in files() for found in imports(file)]


def offenders(among, is_wrong) -> list[str]:
    return [str(found) for found in among if is_wrong(found)]


def package(module: str) -> str:
    return module.partition(".")[0]


def test_imports_are_seen():
    """The reader of import statements sees lazy, typed and plain ones; else this file would prove nothing."""
    kinds = {(found.is_lazy, found.is_for_types) for found in IMPORTS}
    assert kinds == {(False, False), (True, False), (False, True)}
    assert len(files()) > 20


def test_rag_knows_nothing_of_evals():
    """The system under test imports neither the harness, nor its fixtures, nor pytest."""
    ours = [found for found in IMPORTS if found.file.startswith("rag/")]
    assert offenders(ours, lambda found: package(found.module) in ("evals", "fixtures", "pytest")) == []


def test_evals_knows_little_of_rag():
    """The harness knows answers, language models, the embedder, identities and errors of rag."""
    ours = [found for found in IMPORTS if found.file.startswith("evals/")]
    ours = [found for found in ours if not found.file.startswith(KNOWS_ALL)]
    assert (
        offenders(ours, lambda found: package(found.module) == "rag" and found.module not in KNOWN_OF_RAG)
        == []
    )
    assert offenders(ours, lambda found: package(found.module) == "fixtures") == []


def test_pytest_is_imported_where_hooks_live():
    """Logic is plain objects: at run time pytest is imported by the plugin, the recorder and the suite."""
    at_run_time = [found for found in IMPORTS if not found.is_for_types]
    wrong = offenders(
        at_run_time,
        lambda found: (
            package(found.module) in ("pytest", "_pytest", "pluggy", "xdist")
            and not found.file.startswith(KNOWS_PYTEST)
        ),
    )
    assert wrong == []
    for_types = {found.file for found in IMPORTS if found.is_for_types and found.module == "pytest"}
    assert for_types <= {"evals/plugin/options.py", "evals/plugin/settings.py"}


def test_heavy_libraries_are_imported_inside_functions():
    """Only the bridges to LlamaIndex, themselves imported inside functions, have heavy imports at the top."""
    assert (
        offenders(
            IMPORTS,
            lambda found: (
                package(found.module) in HEAVY
                and not (found.is_lazy or found.is_for_types)
                and found.file not in ("rag/bridge.py", "rag/bridge_tracing.py")
            ),
        )
        == []
    )
    bridges = ("rag.bridge", "rag.bridge_tracing")
    to_bridge = [f for f in IMPORTS if f.module in bridges and f.file != "rag/bridge_tracing.py"]
    assert offenders(to_bridge, lambda found: not found.is_lazy) == []


def test_what_is_imported_is_declared():
    """What is there only because something else brings it is gone the day that this changes."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {_distribution(re.split(r"[\[<>=]", name)[0]) for name in wanted}
    brought_by = packages_distributions()
    foreign = {package(found.module) for found in IMPORTS} - set(PACKAGES) - set(sys.stdlib_module_names)
    undeclared = {
        module for module in foreign if not declared & set(map(_distribution, brought_by.get(module, ())))
    }
    assert undeclared - {"pluggy"} == set()  # it is pytest's own, as is `_pytest`


def _distribution(name: str) -> str:
    name = name.strip().lower().replace("_", "-")
    return "llama-index" if name.startswith("llama-index-") else name  # its parts come with it


def test_no_drawers():
    """No module is named for nothing in particular, and no test package shadows ours."""
    names = {"utils", "common", "helpers", "misc"}
    paths = [*files(), *(ROOT / "tests").rglob("*.py")]
    assert [path for path in paths if names & {path.stem, path.parent.name}] == []
    assert [name for name in PACKAGES if (ROOT / "tests" / name).exists()] == []


def test_packages_are_those_of_this_checkout():
    """Packages of the same names exist elsewhere: ours are the ones that are imported."""
    import evals
    import fixtures
    import rag

    found = [Path(package.__file__).parent for package in (rag, evals, fixtures)]
    assert found == [ROOT / name for name in PACKAGES]


@pytest.mark.parametrize(
    "modules",
    [", ".join(pytest_plugins), "evals.testing", "fixtures.pipelines", "fixtures.judges"],
    ids=["evals.plugin", "evals.testing", "fixtures.pipelines", "fixtures.judges"],
)
def test_importing_pulls_in_nothing_heavy(modules):
    """What every pytest session of the environment imports brings none of the heavy libraries with it."""
    code = f"import sys, {modules}; print(sorted({HEAVY!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
