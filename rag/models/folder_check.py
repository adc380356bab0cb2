"""What a model folder may hold: data, and no code of its own.

Libraries run what such a folder names: modules of Python, code beside the weights, pickles. A folder is
looked at here before one of them opens it.
"""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rag_evals.rag.errors import ModelError, one_line
from rag_evals.rag.models.sources import human_size, is_safe_name

MODULES = "modules.json"
# For the library that loads the weights: no pickle, even where there is one beside.
SAFE = {"use_safetensors": True}
# Those that are read here; vocabularies are larger, and only data.
MOST_BYTES = 16_000_000
_LIBRARY = re.compile(r"sentence_transformers(\.\w+)+")
_ACTIVATION = re.compile(r"torch\.nn\.[\w.]+")
_ACTIVATION_KEYS = frozenset({"activation_fn", "activation_function", "sbert_ce_default_activation_function"})
# Weights in forms that a library opens by running what is in them.
_PICKLES = re.compile(r".*\.(pkl|pickle|pt|pth|ckpt|joblib|dill)|(pytorch_model|model|weights).*\.bin")


def check_model_folder(folder: Path, *, is_config_read: bool = True) -> None:
    """Check that nothing in a model folder is code, or would be run by the libraries that load it.

    Args:
        folder: The folder.
        is_config_read: Whether a library will read its `config.json`; else that may name what it likes.

    Raises:
        ModelError: Something is; one line says what, and what to do.
    """
    try:
        for path in [folder, *_module_folders(folder)]:
            _check_files(path, folder)
            for file in sorted(path.glob("*.json")):
                if file.name == "config.json" and not is_config_read:
                    continue
                if file.name.endswith("config.json") or file.name.endswith(".safetensors.index.json"):
                    _check_config(file, folder)
    except OSError as error:
        raise _refusal(folder, f"{error.strerror or error}", "give a folder that you may read") from error


def _refusal(folder: Path, what: str, remedy: str) -> ModelError:
    return ModelError(one_line(f"the model in {folder} is refused: {what}: {remedy}.", limit=1000))


def _module_folders(folder: Path) -> Iterator[Path]:
    """Yield the folders of the modules that `modules.json` names, all of them the library's own."""
    if not (folder / MODULES).exists():
        return
    modules = _read(folder / MODULES, folder)
    if not isinstance(modules, list) or not all(isinstance(module, dict) for module in modules):
        raise _refusal(folder, f"{MODULES} is no list of modules", "fetch it anew")
    for module in modules:
        kind, path = module.get("type"), module.get("path", "")
        if not isinstance(kind, str) or not _LIBRARY.fullmatch(kind):
            raise _refusal(
                folder,
                f"{MODULES} names {kind}, which is code that sentence-transformers does not have",
                "use a model whose modules are all sentence_transformers.*",
            )
        if path and not (isinstance(path, str) and is_safe_name(path)):
            raise _refusal(
                folder, f"{MODULES} names the folder {path!r}, which is not inside", "fetch it anew"
            )
        if path and (folder / path).is_dir():
            yield folder / path


def _check_files(part: Path, folder: Path) -> None:
    names = []
    for file in part.iterdir():
        mode = file.stat().st_mode  # of what a link leads to: the hub's cache is made of links
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            raise _refusal(folder, f"{file.name} is no plain file", "give a folder of plain files")
        names.append(file.name)
    if "adapter_config.json" in names:
        raise _refusal(folder, "it is an adapter, which names another model", "merge it into its model")
    pickles = [name for name in sorted(names) if _PICKLES.fullmatch(name)]
    if pickles and not any(name.endswith(".safetensors") for name in names):
        raise _refusal(
            folder,
            f"its weights are a pickle ({pickles[0]}), which may run code",
            "save it anew with `save_pretrained`, which writes model.safetensors, or use another model",
        )


def _check_config(file: Path, folder: Path) -> None:
    config = _read(file, folder)
    if not isinstance(config, dict):
        raise _refusal(folder, f"{file.name} is no JSON object", "fetch it anew")
    for shard in _values(config.get("weight_map")):
        if not (isinstance(shard, str) and is_safe_name(shard) and shard.endswith(".safetensors")):
            raise _refusal(
                folder, f"{file.name} names {shard!r}, which is no safetensors file", "fetch it anew"
            )
    for reference in _values(config.get("auto_map")):
        for code in reference if isinstance(reference, list) else [reference]:
            if isinstance(code, str) and (
                "--" in code or (file.parent / f"{code.split('.')[0]}.py").exists()
            ):
                raise _refusal(
                    folder,
                    f"{file.name} names code of its own ({code})",
                    "use a model that needs none, or delete auto_map where transformers knows the model",
                )
    for name in _activations(config):
        if not _ACTIVATION.fullmatch(name):
            raise _refusal(folder, f"{file.name} names the function {name}", "use one of torch.nn, or none")


def _values(table: Any) -> list[Any]:
    return list(table.values()) if isinstance(table, dict) else []


def _activations(config: dict[str, Any]) -> Iterator[str]:
    """Yield the functions that are named with their module: plain names are the library's own."""
    inner = config.get("sentence_transformers")
    for table in (config, inner if isinstance(inner, dict) else {}):
        for key in _ACTIVATION_KEYS & set(table):
            if isinstance(table[key], str) and "." in table[key]:
                yield table[key]


def _read(file: Path, folder: Path) -> Any:
    about = file.stat()
    if not stat.S_ISREG(about.st_mode):
        raise _refusal(folder, f"{file.name} is no plain file", "give a folder of plain files")
    if about.st_size > MOST_BYTES:
        raise _refusal(
            folder,
            f"{file.name} has {human_size(about.st_size)}",
            f"one has {human_size(MOST_BYTES)} at most",
        )
    try:
        return json.loads(file.read_bytes())
    except (ValueError, RecursionError) as error:
        raise _refusal(folder, f"{file.name} is no readable JSON", "fetch it anew") from error
