"""Nothing that the package reads is run: no pickle, no evaluated text, no loader that imports by name."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# Modules that make objects, and so run code, of what they read.
RUN = frozenset(
    {"pickle", "_pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "pandas.io.pickle"}
)
# Functions that do, by the last two words of their names; numpy's is one unless it is told otherwise.
CALLS = frozenset(
    {
        "eval",
        "exec",
        "compile",
        "__import__",
        "os.system",
        "os.popen",
        "torch.load",
        "torch.jit",
        "pd.read_pickle",
    }
    | {"yaml.load", "yaml.load_all", "yaml.unsafe_load", "yaml.full_load", "yaml.UnsafeLoader", "yaml.Loader"}
)
# The processes of a session talk to each other like this, through a socket that is theirs alone.
MAY_PICKLE = "rag/native/hosting/messages.py"
# Libraries that load a model folder, where it was looked at before.
LOADERS = frozenset({"SentenceTransformer", "CrossEncoder", "from_pretrained"})
MAY_LOAD = frozenset(
    {
        "rag/retrieval/embedder.py",
        "rag/retrieval/cross_encoder.py",
        "rag/retrieval/entailment/form_loading.py",
    }
)


def offences(source: str, name: str) -> Iterator[str]:
    """Yield what in a module would run what it reads."""
    for node in ast.walk(ast.parse(source)):
        where = f"{name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Import | ast.ImportFrom) and name != MAY_PICKLE:
            modules = {alias.name for alias in node.names} if isinstance(node, ast.Import) else {node.module}
            yield from (f"{where} imports {module}" for module in sorted(modules & RUN))
        if not isinstance(node, ast.Call):
            continue
        called = ".".join(ast.unparse(node.func).split(".")[-2:])
        told = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords}
        if (
            called in CALLS
            or told.get("shell") == "True"
            or told.get("trust_remote_code", "False") != "False"
        ):
            yield f"{where} calls {called}"
        if called in {"np.load", "numpy.load"} and told.get("allow_pickle") != "False":
            yield f"{where} calls {called} without allow_pickle=False"
        if called.split(".")[-1] in LOADERS and name not in MAY_LOAD:
            yield f"{where} calls {called}"


@pytest.mark.parametrize("package", ["rag", "evals", "fixtures", "rag_evals"])
def test_nothing_that_is_read_is_run(package):
    """The sources have none of these imports and calls."""
    found = [
        offence
        for file in sorted((ROOT / package).rglob("*.py"))
        for offence in offences(file.read_text("utf-8"), file.relative_to(ROOT).as_posix())
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "eval('1')",
        "yaml.load(text, Loader=yaml.SafeLoader)",
        "torch.load(file)",
        "np.load(file)",
        "np.load(file, allow_pickle=True)",
        "subprocess.run(words, shell=True)",
        "AutoModel.from_pretrained(path)",
        "AutoModel.from_pretrained(path, trust_remote_code=trusted)",
    ],
)
def test_what_runs_is_found(source):
    """The test above would see it."""
    assert list(offences(source, "rag/x.py"))


@pytest.mark.parametrize(
    "source", ["re.compile('a')", "llama.eval([1])", "np.load(f, allow_pickle=False)", "json.load(file)"]
)
def test_what_runs_nothing_is_left(source):
    """Names that only look like it are no offence."""
    assert list(offences(source, "rag/x.py")) == []
