"""Model folders that hold code, pickles or odd files are refused before a library opens them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from rag_evals.rag.errors import ModelError
from rag_evals.rag.models.folder_check import check_model_folder

TRANSFORMER = {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}
POOLING = {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
OWN = "use a model whose modules are all sentence_transformers.*"


@pytest.fixture
def folder(tmp_path):
    """A folder as sentence-transformers writes it."""
    made = tmp_path / "model"
    (made / "1_Pooling").mkdir(parents=True)
    (made / "1_Pooling" / "config.json").write_text("{}")
    (made / "config.json").write_text('{"model_type": "bert"}')
    (made / "tokenizer_config.json").write_text("{}")
    (made / "model.safetensors").write_bytes(b"")
    write(made / "modules.json", [TRANSFORMER, POOLING])
    return made


def write(file: Path, value: object) -> None:
    file.write_text(json.dumps(value))


def refusal(folder: Path) -> str:
    """Return why a folder is refused."""
    with pytest.raises(ModelError) as caught:
        check_model_folder(folder)
    start = f"the model in {folder} is refused: "
    assert str(caught.value).startswith(start)
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix(start)


def test_a_folder_of_data(folder):
    """What libraries write is taken, with links and scripts of a training beside it."""
    (folder / "train_script.py").write_text("import nothing")
    (folder / "training_args.bin").write_bytes(b"")
    (folder / "pytorch_model.bin").write_bytes(b"")  # not read where there are safetensors
    (folder / "vocab.txt").symlink_to(folder / "config.json")
    write(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": "pytorch_model-1.bin"}})
    write(folder / "model.safetensors.index.json", {"weight_map": {"a": "model-1.safetensors"}})
    config = {"auto_map": {"AutoModel": "modeling_gone.Model"}, "activation_function": "gelu"}
    config["sentence_transformers"] = {"activation_fn": "torch.nn.modules.linear.Identity"}
    write(folder / "config.json", config)
    check_model_folder(folder)


@pytest.mark.parametrize(
    "name",
    [
        "statsmodels.base.model.LikelihoodModelResults",
        "evil.Evil",
        "os.system",
        "sentence_transformersx.models.Transformer",
        "sentence_transformers",
        "sentence_transformers.models.Transformer\nos.system",
    ],
)
def test_a_module_that_is_not_the_librarys(name, folder):
    """`modules.json` names classes to import: those of the library alone."""
    write(folder / "modules.json", [TRANSFORMER, POOLING | {"type": name}])
    shown = " ".join(name.split())
    assert refusal(folder) == (
        f"modules.json names {shown}, which is code that sentence-transformers does not have: {OWN}."
    )


@pytest.mark.parametrize("kind", [None, 1, ["sentence_transformers.models.Pooling"]])
def test_a_module_that_is_no_name(kind, folder):
    """A type that is no text names nothing."""
    write(folder / "modules.json", [{"type": kind}])
    assert refusal(folder).startswith("modules.json names ")


@pytest.mark.parametrize("path", ["../other", "/etc", "a/../../b", 7, ["x"]])
def test_a_module_outside_the_folder(path, folder):
    """Modules lie in the folder."""
    write(folder / "modules.json", [POOLING | {"path": path}])
    assert refusal(folder) == f"modules.json names the folder {path!r}, which is not inside: fetch it anew."


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 100_000, "\x00", "[1" + "0" * 5000 + "]"],
    ids=["empty", "cut", "deep", "zero", "number"],
)
@pytest.mark.parametrize("name", ["modules.json", "config.json", "model.safetensors.index.json"])
def test_damaged_json(text, name, folder):
    """What cannot be read is refused, however deep it nests."""
    (folder / name).write_text(text)
    assert refusal(folder) == f"{name} is no readable JSON: fetch it anew."


def test_json_of_another_kind(folder):
    """A list where an object belongs, and the other way round."""
    write(folder / "modules.json", {"a": 1})
    assert refusal(folder) == "modules.json is no list of modules: fetch it anew."
    write(folder / "modules.json", [1])
    assert refusal(folder) == "modules.json is no list of modules: fetch it anew."
    write(folder / "modules.json", [TRANSFORMER])
    write(folder / "config.json", [])
    assert refusal(folder) == "config.json is no JSON object: fetch it anew."


def test_json_without_end(folder):
    """A file of megabytes is no configuration; nothing of it is read."""
    with (folder / "modules.json").open("wb") as file:
        file.truncate(10**12)
    assert refusal(folder) == "modules.json has 1.0 TB: one has 16 MB at most."


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt", "a.pkl", "x.ckpt"]
)
def test_weights_that_are_a_pickle(name, folder):
    """A pickle may run code when it is opened: safetensors alone."""
    (folder / "model.safetensors").unlink()
    (folder / name).write_bytes(b"")
    assert refusal(folder) == (
        f"its weights are a pickle ({name}), which may run code: save it anew with `save_pretrained`, which "
        "writes model.safetensors, or use another model."
    )


def test_weights_of_a_module_that_are_a_pickle(folder):
    """So it is in the folder of a module."""
    write(folder / "modules.json", [TRANSFORMER, POOLING | {"path": "2_Dense"}])
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    assert refusal(folder).startswith("its weights are a pickle (pytorch_model.bin), which may run code: ")


@pytest.mark.parametrize("shard", ["pytorch_model-1.bin", "../x.safetensors", "/x.safetensors", 3])
def test_an_index_of_other_files(shard, folder):
    """Weights in parts are safetensors too, of this folder."""
    write(folder / "model.safetensors.index.json", {"weight_map": {"a": shard}})
    assert refusal(folder) == (
        f"model.safetensors.index.json names {shard!r}, which is no safetensors file: fetch it anew."
    )


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "1_Pooling/config.json"])
@pytest.mark.parametrize(
    "code", ["modeling_evil.Evil", "somebody/evil--modeling_evil.Evil", ["modeling_evil.Evil", None]]
)
def test_code_beside_the_weights(name, code, folder):
    """Code that comes with a model is not run: that of the folder no more than that of another repository."""
    (folder / name).with_name("modeling_evil.py").write_text("raise SystemExit")
    write(folder / name, {"auto_map": {"AutoModel": code}})
    shown = code if isinstance(code, str) else code[0]
    assert refusal(folder) == (
        f"{Path(name).name} names code of its own ({shown}): use a model that needs none, or delete auto_map "
        "where transformers knows the model."
    )


@pytest.mark.parametrize("name", ["torch.utils.collect_env.main", "os.abort", "subprocess.run", "torch.nn"])
def test_a_function_that_is_no_activation(name, folder):
    """Configurations name functions that are called: those of torch.nn alone."""
    for config in ({"activation_function": name}, {"sentence_transformers": {"activation_fn": name}}):
        write(folder / "config.json", config)
        assert refusal(folder) == f"config.json names the function {name}: use one of torch.nn, or none."


def test_an_adapter(folder):
    """An adapter names another model, on this machine or elsewhere."""
    write(folder / "adapter_config.json", {"base_model_name_or_path": "/etc"})
    assert refusal(folder) == "it is an adapter, which names another model: merge it into its model."


@pytest.mark.parametrize("name", ["modules.json", "tokenizer.json", "1_Pooling/config.json"])
def test_files_that_are_none(name, folder):
    """Opening a pipe or a device may never end."""
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    assert refusal(folder) == f"{Path(name).name} is no plain file: give a folder of plain files."
    (folder / name).unlink()
    (folder / name).symlink_to("/dev/zero")
    assert refusal(folder) == f"{Path(name).name} is no plain file: give a folder of plain files."
