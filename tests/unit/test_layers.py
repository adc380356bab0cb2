"""The plan of the house: who may import whom, how large rooms are, and what importing costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("rag", "evals", "fixtures")

# Rooms of evals from the ground up: each may import those below it, none of those beside it.
LAYERS = (
    ("base",),
    ("questions",),
    ("runs",),
    ("retrieval",),
    ("judges", "answers"),
    ("gate", "engine", "generation", "testing"),
    ("reports",),
    ("trackers",),
    ("plugin",),
    ("cli", "test_answers", "test_retrieval"),
)

# What of rag each room may import; the rooms at the top, which put the whole together, know all of it.
FOR_ALL = {"answer", "errors", "identity", "profile", "tracing", "llm.protocol", "llm.prices", "llm.deadline"}
OF_RAG = {
    "base": {"errors"},
    "questions": FOR_ALL | {"documents"},
    "runs": FOR_ALL,
    "retrieval": FOR_ALL,
    "judges": FOR_ALL
    | {
        "llm.local",
        "llm.weights",
        "retrieval.embedder",
        "retrieval.entailment",
        "retrieval.llamaindex",
        "retrieval.text",
    },
    "answers": FOR_ALL,
    "gate": FOR_ALL,
    "engine": FOR_ALL,
    "testing": FOR_ALL,
    "generation": FOR_ALL | {"documents", "retrieval.embedder", "retrieval.text", "llm"},
    "reports": FOR_ALL,
    "trackers": FOR_ALL | {"native.children"},
}
# The one module of judges that chooses their models.
CHOOSES_MODELS = "evals/judges/build.py"

KNOWS_PYTEST = ("evals/plugin/", "evals/test_answers.py", "evals/test_retrieval.py", "fixtures/")
HEAVY = {
    "bm25s",
    "Stemmer",
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
    "krippendorff",
    "huggingface_hub",
    "numpy",
    "pandas",
    "pyarrow",
    "sqlalchemy",
    "psycopg2",
    "qdrant_client",
    "langchain_core",
    "langsmith",
    "haystack",
    "dspy",
    "litellm",
    "networkx",
    "ray",
}
# Bridges to LlamaIndex, themselves imported inside functions, have heavy imports at the top.
BRIDGES = ("rag/retrieval/llamaindex.py", "rag/pipelines/llamaindex_spans.py")

MOST_IN_A_ROOM = 12
MOST_LINES = 400

# Known exceptions, each to be removed.
KNOWN_UPWARD: set[str] = set()
KNOWN_OF_RAG: set[str] = set()
KNOWN_CIRCLES: set[str] = set()
# The rooms, and beside them the public fakes of `testing.py`.
KNOWN_CROWDED = {"evals: 14"}
KNOWN_LONG: set[str] = set()
KNOWN_PYTEST: set[str] = set()


@dataclass(frozen=True)
class Import:
    """One imported module of ours or of others: where, and when it is imported."""

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
        # `from rag_evals.rag import errors` imports a module of the package
        return sorted({_module(str(node.module), name.name) for name in node.names})
    return []


def _module(package: str, name: str) -> str:
    whole = f"{package}.{name}"
    place = ROOT.joinpath(*whole.split(".")[1:])
    return (
        whole
        if whole.startswith("rag_evals.") and (place.with_suffix(".py").exists() or place.is_dir())
        else package
    )


IMPORTS = [found for file in files() for found in imports(file)]


def offenders(among, is_wrong) -> list[str]:
    return [str(found) for found in among if is_wrong(found)]


def library(module: str) -> str:
    return module.partition(".")[0]


def ours(module: str) -> str:
    """Return the name of a module of ours without `rag_evals.`; of others, nothing."""
    return module.removeprefix("rag_evals.") if module.startswith("rag_evals.") else ""


def room(module: str) -> str:
    """Return the room of evals that a module is in."""
    return module.split(".")[1] if module.count(".") else ""


def module_of(file: str) -> str:
    return file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def upward() -> list[Import]:
    """Return the imports of evals that go up a layer or sideways."""
    floor = {name: n for n, names in enumerate(LAYERS) for name in names}
    wrong = []
    for found in IMPORTS:
        target = ours(found.module)
        if not found.file.startswith("evals/") or not target.startswith("evals."):
            continue
        here, there = room(module_of(found.file)), room(target)
        if here and there and here != there and floor[here] <= floor[there]:
            wrong.append(found)
    return wrong


def beyond_of_rag() -> list[Import]:
    """Return the imports of rag by rooms of evals that are to know nothing of it."""
    wrong = []
    for found in IMPORTS:
        target = ours(found.module)
        if not found.file.startswith("evals/") or not target.startswith("rag."):
            continue
        allowed = OF_RAG.get(room(module_of(found.file)))
        if allowed is None or found.file == CHOOSES_MODELS:
            continue
        name = target.removeprefix("rag.")
        if not any(name == known or name.startswith(f"{known}.") for known in allowed):
            wrong.append(found)
    return wrong


def circles() -> list[str]:
    """Return the circles of rooms of one package, whatever their imports are for; a package is one room."""
    found = []
    packages = {"/".join(file.relative_to(ROOT).parts[:-1]) for file in files()}
    for package in sorted(packages):
        prefix = package.replace("/", ".") + "."
        graph: dict[str, set[str]] = defaultdict(set)
        for entry in IMPORTS:
            here, there = module_of(entry.file), ours(entry.module)
            if here.startswith(prefix) and there.startswith(prefix):
                first, second = (name.removeprefix(prefix).split(".")[0] for name in (here, there))
                if first != second:
                    graph[first].add(second)
        found += [f"{package}: {', '.join(circle)}" for circle in _components(graph)]
    return found


def _components(graph: dict[str, set[str]]) -> list[list[str]]:
    """Return the strongly connected components of more than one room."""
    reach = {name: _reached(name, graph) for name in graph}
    together = {
        name: frozenset(o for o in reach[name] if name in reach.get(o, ())) | {name} for name in graph
    }
    return sorted(sorted(circle) for circle in set(together.values()) if len(circle) > 1)


def _reached(name: str, graph: dict[str, set[str]]) -> set[str]:
    seen: set[str] = set()
    waiting = [name]
    while waiting:
        for other in graph.get(waiting.pop(), ()):
            if other not in seen:
                seen.add(other)
                waiting.append(other)
    return seen


def crowded() -> list[str]:
    """Return the packages with too many rooms; the suite is no room."""
    found = []
    for folder in sorted({file.parent for file in files()}):
        rooms = [
            path
            for path in folder.iterdir()
            if (path.suffix == ".py" and not path.stem.startswith(("__", "test_")))
            or (path.is_dir() and any(path.glob("*.py")))
        ]
        if len(rooms) > MOST_IN_A_ROOM:
            found.append(f"{folder.relative_to(ROOT).as_posix()}: {len(rooms)}")
    return found


def long() -> list[str]:
    """Return the modules with too many lines."""
    lines = {file: len(file.read_text("utf-8").splitlines()) for file in files()}
    return [file.relative_to(ROOT).as_posix() for file, count in lines.items() if count > MOST_LINES]


def pytest_elsewhere() -> list[Import]:
    """Return the imports of pytest outside of the plugin, the suite and the fixtures."""
    return [
        found
        for found in IMPORTS
        if library(found.module) in ("pytest", "_pytest", "pluggy", "xdist")
        and not found.file.startswith(KNOWS_PYTEST)
    ]


def unknown(found: list[Import], known: set[str]) -> list[str]:
    """Return what is found and not known, with its line, and what is known and no longer there."""
    keys = {f"{entry.file} imports {entry.module}" for entry in found}
    new = [str(entry) for entry in found if f"{entry.file} imports {entry.module}" not in known]
    return new + [f"no longer there: {key}" for key in sorted(known - keys)]


def test_imports_are_seen():
    """The reader of import statements sees lazy, typed and plain ones; else this file would prove nothing."""
    kinds = {(found.is_lazy, found.is_for_types) for found in IMPORTS}
    assert kinds == {(False, False), (True, False), (False, True)}
    assert len(files()) > 20
    names = [file.relative_to(ROOT).as_posix() for file in files() if file.is_relative_to(ROOT / "evals")]
    rooms = {room(module_of(name)) for name in names}
    assert rooms == {"", *(name for names in LAYERS for name in names)}


def test_everything_is_imported_by_its_installed_name():
    """`rag`, `evals` and `fixtures` are names of the folders, not of what is installed."""
    paths = [
        *files(),
        *(ROOT / "tests").rglob("*.py"),
        *(ROOT / "benchmarks").rglob("*.py"),
        ROOT / "conftest.py",
    ]
    assert (
        offenders(
            [i for path in paths for i in imports(path)], lambda found: library(found.module) in PACKAGES
        )
        == []
    )


def test_layers():
    """Each room of evals imports those below it only."""
    assert unknown(upward(), KNOWN_UPWARD) == []


def test_rag_knows_nothing_of_evals():
    """The system under test imports neither the harness, nor its fixtures, nor pytest."""
    wrong = ("pytest", "_pytest", "xdist")
    inside = [found for found in IMPORTS if found.file.startswith("rag/")]
    assert (
        offenders(
            inside, lambda f: library(f.module) in wrong or ours(f.module).startswith(("evals", "fixtures"))
        )
        == []
    )


def test_evals_knows_little_of_rag():
    """Rooms of evals know what OF_RAG names; nothing of evals knows the fixtures."""
    assert unknown(beyond_of_rag(), KNOWN_OF_RAG) == []
    inside = [found for found in IMPORTS if found.file.startswith("evals/")]
    assert offenders(inside, lambda found: ours(found.module).startswith("fixtures")) == []


def test_pytest_is_imported_where_hooks_live():
    """Logic is plain objects: pytest is imported by the plugin, the suite and the fixtures."""
    assert unknown(pytest_elsewhere(), KNOWN_PYTEST) == []


def test_no_circles():
    """No two rooms of a package import each other, not inside functions and not for types either."""
    assert sorted(circles()) == sorted(KNOWN_CIRCLES)


def test_rooms_are_few_and_modules_short():
    """A list of names that is read at a glance; a module that is read at a sitting."""
    assert sorted(crowded()) == sorted(KNOWN_CROWDED)
    assert sorted(long()) == sorted(KNOWN_LONG)


def test_heavy_libraries_are_imported_inside_functions():
    """Only the bridges to LlamaIndex, themselves imported inside functions, have heavy imports at the top."""
    at_top = [found for found in IMPORTS if not (found.is_lazy or found.is_for_types)]
    assert offenders(at_top, lambda f: library(f.module) in HEAVY and f.file not in BRIDGES) == []
    to_bridges = [
        f for f in at_top if f"{ours(f.module).replace('.', '/')}.py" in BRIDGES and f.file not in BRIDGES
    ]
    assert [str(found) for found in to_bridges] == []


def test_child_processes_look_past_the_folder():
    """A Python that we start takes no file of the folder it starts in, say `secrets.py`, for a library."""
    begun = [
        (path, node.elts)
        for path in files()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable"
    ]
    assert len(begun) >= 5
    assert [str(path) for path, words in begun if ast.unparse(words[1]) != "'-P'"] == []


def test_no_drawers():
    """No module is named for nothing in particular, and no test package shadows ours."""
    names = {"utils", "common", "helpers", "misc"}
    paths = [*files(), *(ROOT / "tests").rglob("*.py")]
    assert [path for path in paths if names & {path.stem, path.parent.name}] == []
    assert [name for name in PACKAGES if (ROOT / "tests" / name).exists()] == []


def test_packages_are_those_of_this_checkout():
    """The packages that are imported are the folders beside `rag_evals`."""
    import rag_evals.evals
    import rag_evals.fixtures
    import rag_evals.rag

    found = [Path(str(p.__file__)).parent for p in (rag_evals.rag, rag_evals.evals, rag_evals.fixtures)]
    assert found == [ROOT / name for name in PACKAGES]


@pytest.mark.parametrize(
    "module",
    [
        "rag_evals",
        "rag_evals.evals.plugin",
        "rag_evals.testing",
        "rag_evals.fixtures.pipelines",
        "rag_evals.fixtures.judges",
    ],
)
def test_importing_pulls_in_nothing_heavy(module):
    """What every pytest session of the environment imports brings none of the heavy libraries with it."""
    code = f"import sys, {module}; print(sorted({HEAVY!r} & set(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"


def test_names_of_the_package():
    """Everything that `rag_evals` offers is there, and what it does not offer is an AttributeError."""
    import rag_evals

    assert [name for name in rag_evals.__all__ if not hasattr(rag_evals, name)] == []
    with pytest.raises(AttributeError, match=r"^module 'rag_evals' has no attribute 'nothing'$"):
        rag_evals.nothing  # noqa: B018
