"""Pipeline settings: what is read from TOML, and the words in which a wrong file is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rag_evals.rag.config import (
    PipelineConfig,
    config_for,
    judge_llm_for,
    load_configs,
    load_services,
    shared_config,
    without_effect,
)
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.errors import ConfigError

MINIMAL = "[pipelines.mine]\n"
RETRIEVERS = "one of vector, bm25, hybrid, auto_merging, sentence_window"
LANGUAGES = (
    "one of auto, none, arabic, czech, danish, dutch, english, finnish, french, german, greek, hindi, "
    "hungarian, indonesian, italian, norwegian, persian, polish, portuguese, romanian, russian, spanish, "
    "swedish, turkish"
)


def profile(folder: Path, text: str) -> Path:
    path = folder / "mine.toml"
    path.write_text(text)
    return path


def refusal(folder: Path, text: str) -> str:
    """Return the message with which a profile file is refused, without the file's path."""
    path = profile(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_configs(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


def test_the_pipelines_that_come_with_the_package():
    """Without a file there are two profiles, one a retriever, each with an instruction for the model."""
    configs = load_configs()
    retrievers = {name: config.retriever for name, config in configs.items()}
    assert retrievers == {"baseline": "vector", "auto_merging": "auto_merging"}
    assert all(config.name == name and config.instruction for name, config in configs.items())


def test_every_key_is_read(tmp_path):
    """Each key of a file lands in the field of its name; lists become tuples, whole numbers numbers."""
    path = profile(
        tmp_path,
        """
        [llm]
        model = "m.gguf"
        n_ctx = 2048
        n_batch = 64
        n_threads = 3
        n_gpu_layers = -1
        [pipelines.mine]
        retriever = "auto_merging"
        chunk_sizes = [512, 128]
        chunk_overlap = 0
        top_k = 7
        merge_ratio = 1
        reranker = "llm"
        rerank_top_n = 2
        context_tokens = 900
        max_answer_tokens = 20
        instruction = "Answer."
        embedder = "bge-small-en-v1.5"
        """,
    )
    assert load_configs(path) == {
        "mine": PipelineConfig(
            name="mine",
            retriever="auto_merging",
            chunk_sizes=(512, 128),
            chunk_overlap=0,
            top_k=7,
            merge_ratio=1.0,
            reranker="llm",
            rerank_top_n=2,
            context_tokens=900,
            max_answer_tokens=20,
            instruction="Answer.",
            embedder="bge-small-en-v1.5",
            llm=LLMConfig("m.gguf", n_ctx=2048, n_batch=64, n_threads=3, n_gpu_layers=-1),
        )
    }


def test_a_file_with_nothing_but_a_name_gets_the_defaults(tmp_path):
    """An empty table is a whole pipeline."""
    assert load_configs(profile(tmp_path, MINIMAL)) == {"mine": PipelineConfig("mine")}


def test_a_pipelines_own_table_wins(tmp_path):
    """The pipeline's own keys, those of its model too, win over [defaults] and [llm], key by key."""
    path = profile(
        tmp_path,
        """
        [llm]
        model = "common"
        n_ctx = 2048
        [defaults]
        top_k = 5
        context_tokens = 700
        [pipelines.one]
        top_k = 9
        [pipelines.two]
        llm = { model = "own" }
        """,
    )
    one, two = load_configs(path).values()
    assert (one.top_k, one.context_tokens, one.llm) == (9, 700, LLMConfig("common", n_ctx=2048))
    assert (two.top_k, two.context_tokens, two.llm) == (5, 700, LLMConfig("own", n_ctx=2048))


def test_a_missing_file(tmp_path):
    """A file that is not there is one line with its path."""
    path = tmp_path / "none.toml"
    with pytest.raises(ConfigError) as caught:
        load_configs(path)
    assert str(caught.value) == f"{path}: No such file or directory"


def test_a_folder_in_place_of_a_file(tmp_path):
    """So is a folder."""
    with pytest.raises(ConfigError) as caught:
        load_configs(tmp_path)
    assert str(caught.value) == f"{tmp_path}: Is a directory"


def test_not_toml(tmp_path):
    """Text that is not TOML is refused with its line and column."""
    message = refusal(tmp_path, "[pipelines.mine\n")
    assert message == "not TOML: Expected ']' at the end of a table declaration (at line 1, column 16)"


def test_not_text(tmp_path):
    """Bytes that are not UTF-8 are refused as not TOML."""
    path = tmp_path / "mine.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as caught:
        load_configs(path)
    assert str(caught.value) == (
        f"{path}: not TOML: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no [pipelines.NAME] table in it"),
        ("[pipelines]", "no [pipelines.NAME] table in it"),
        ("[llm]\nn_ctx = 512", "no [pipelines.NAME] table in it"),
        ("[pipeline.mine]", "unknown key 'pipeline', did you mean 'pipelines'?"),
        ("[zebra]", "unknown key 'zebra': known are llm, judge, defaults, pipelines"),
        (MINIMAL + "top_n = 3", "[pipelines.mine] unknown key 'top_n', did you mean 'top_k'?"),
        (
            "[llm]\ntemperature = 0\n" + MINIMAL,
            "[llm] unknown key 'temperature': known are model, n_ctx, n_batch, n_threads, n_gpu_layers, "
            "kept_tokens, flash_attn, cache_type, request_timeout, requests_per_minute, tokens_per_minute, "
            "thought_tokens, reasoning_effort, extra_body, headers, ca_file",
        ),
        ("llm = 3\n" + MINIMAL, "[llm] is not a table"),
        ("defaults = 3\n" + MINIMAL, "[defaults] is not a table"),
        ("pipelines = 3", "[pipelines] is not a table"),
        ("[pipelines]\nmine = 3", "[pipelines.mine] is not a table"),
        (MINIMAL + "llm = 3", "[pipelines.mine.llm] is not a table"),
    ],
)
def test_wrong_keys(tmp_path, text, message):
    """An unknown key is refused with the nearest known one, or all of them; so is a value for a table."""
    assert refusal(tmp_path, text) == message


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("top_k = '3'", "top_k = '3': wants a whole number"),
        ("top_k = 3.0", "top_k = 3.0: wants a whole number"),
        ("top_k = true", "top_k = True: wants a whole number"),
        ("merge_ratio = 'half'", "merge_ratio = 'half': wants a number"),
        ("merge_ratio = true", "merge_ratio = True: wants a number"),
        ("reranker = false", "reranker = False: wants a text"),
        ("chunk_sizes = 200", "chunk_sizes = 200: wants a list of whole numbers above 0"),
        ("chunk_sizes = [0]", "chunk_sizes = [0]: wants a list of whole numbers above 0"),
        ("chunk_sizes = [128.5]", "chunk_sizes = [128.5]: wants a list of whole numbers above 0"),
        ("top_k = 0", "top_k = 0: at least 1"),
        ("chunk_overlap = -1", "chunk_overlap = -1: at least 0"),
        ("rerank_top_n = 0", "rerank_top_n = 0: at least 1"),
        ("context_tokens = 0", "context_tokens = 0: at least 1"),
        ("max_answer_tokens = 0", "max_answer_tokens = 0: at least 1"),
        ("merge_ratio = 0", "merge_ratio = 0.0: above 0, at most 1"),
        ("merge_ratio = 1.5", "merge_ratio = 1.5: above 0, at most 1"),
        ("merge_ratio = nan", "merge_ratio = nan: above 0, at most 1"),
        ("retriever = 'bm52'", f"retriever = 'bm52': {RETRIEVERS}; did you mean 'bm25'?"),
        ("retriever = 'Hybrid'", f"retriever = 'Hybrid': {RETRIEVERS}; did you mean 'hybrid'?"),
        ("retriever = 'graph'", f"retriever = 'graph': {RETRIEVERS}"),
        (
            "retriever = 'auto_merging'\nchunk_sizes = [512, 128]\ncandidates = 'vectors'",
            "candidates = 'vectors': one of vector, bm25, hybrid; did you mean 'vector'?",
        ),
        (
            "retriever = 'vector'\ncandidates = 'hybrid'",
            "candidates = 'hybrid': retriever = 'vector' says how they are found, take one of them out",
        ),
        ("fusion_depth = 0", "fusion_depth = 0: at least 1"),
        ("rrf_constant = -1", "rrf_constant = -1.0: at least 0"),
        ("rrf_constant = nan", "rrf_constant = nan: at least 0"),
        ("rrf_constant = inf", "rrf_constant = inf: wants a finite number"),
        ("vector_weight = -0.5", "vector_weight = -0.5: at least 0"),
        ("bm25_weight = nan", "bm25_weight = nan: at least 0"),
        ("bm25_weight = inf", "bm25_weight = inf: wants a finite number"),
        ("bm25_weight = '1'", "bm25_weight = '1': wants a number"),
        (
            "vector_weight = 0\nbm25_weight = 0",
            "vector_weight = 0.0 and bm25_weight = 0.0: one of them above 0",
        ),
        ("bm25_k1 = -1", "bm25_k1 = -1.0: at least 0"),
        ("bm25_b = 1.1", "bm25_b = 1.1: from 0 to 1"),
        ("bm25_b = nan", "bm25_b = nan: from 0 to 1"),
        ("bm25_language = 'englisch'", f"bm25_language = 'englisch': {LANGUAGES}; did you mean 'english'?"),
        ("window = -1", "window = -1: at least 0"),
        ("expansion = -1", "expansion = -1: at least 0"),
        ("expansion = 11", "expansion = 11: at most 10"),
        (
            "retriever = 'sentence_window'\nchunk_sizes = [512, 128]",
            "chunk_sizes = [512, 128]: the sentence_window retriever takes one size",
        ),
        ("chunk_sizes = [512, 128]", "chunk_sizes = [512, 128]: the vector retriever takes one size"),
        ("chunk_sizes = []", "chunk_sizes = []: the vector retriever takes one size"),
        ("chunk_sizes = [15]", "chunk_sizes = [15]: at least 16 each"),
        (
            "retriever = 'auto_merging'\nchunk_sizes = [512]",
            "chunk_sizes = [512]: the auto_merging retriever takes two sizes or more",
        ),
        (
            "retriever = 'auto_merging'\nchunk_sizes = [128, 512]",
            "chunk_sizes = [128, 512]: from large to small",
        ),
        (
            "retriever = 'auto_merging'\nchunk_sizes = [128, 128]",
            "chunk_sizes = [128, 128]: from large to small",
        ),
        ("llm = { n_ctx = 63 }", "n_ctx = 63: at least 64"),
        ("llm = { n_batch = 7 }", "n_batch = 7: at least 8"),
        ("llm = { n_threads = -1 }", "n_threads = -1: at least 0"),
        ("llm = { n_gpu_layers = -2 }", "n_gpu_layers = -2: at least -1"),
    ],
)
def test_wrong_values(tmp_path, line, message):
    """A value of a wrong type or out of its range is refused with the file, the table, the key, the value."""
    assert refusal(tmp_path, MINIMAL + line) == f"[pipelines.mine] {message}"


def test_a_wrong_value_for_the_model(tmp_path):
    """A wrong type among the model's keys names the model's table."""
    assert refusal(tmp_path, "[llm]\nn_ctx = '4k'\n" + MINIMAL) == "[llm] n_ctx = '4k': wants a whole number"


SERVER = """
[llm]
model = "openai:m@http://h/v1"
thought_tokens = 4000
reasoning_effort = "low"
extra_body = { chat_template_kwargs = { enable_thinking = false } }
headers = { X-Team = "evals", X-Key = "$MY_KEY" }
ca_file = "ca.pem"
"""


def test_settings_of_a_server(tmp_path):
    """Further fields and headers are tables; a configuration with them can still be looked up."""
    (config,) = load_configs(profile(tmp_path, SERVER + MINIMAL)).values()
    assert config.llm == LLMConfig(
        "openai:m@http://h/v1",
        thought_tokens=4000,
        reasoning_effort="low",
        extra_body={"chat_template_kwargs": {"enable_thinking": False}},
        headers={"X-Team": "evals", "X-Key": "$MY_KEY"},
        ca_file="ca.pem",
    )
    assert {config.llm: 1}[config.llm] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("extra_body = 3", "[llm] extra_body = 3: wants a table"),
        (
            "extra_body = { model = 'x' }",
            "[pipelines.mine] extra_body: model is set by the harness itself, take it out",
        ),
        (
            "extra_body = { at = 12:00:00 }",
            "[pipelines.mine] extra_body cannot be sent as JSON: "
            "Object of type time is not JSON serializable",
        ),
        (
            "headers = { X = 3 }",
            '[pipelines.mine] headers: X is no header with a text: write headers = { NAME = "VALUE" }',
        ),
        (
            "headers = { 'a b' = 'secret' }",
            '[pipelines.mine] headers: a b is no header with a text: write headers = { NAME = "VALUE" }',
        ),
        ("thought_tokens = 0", "[pipelines.mine] thought_tokens = 0: at least 1"),
    ],
)
def test_wrong_settings_of_a_server(tmp_path, line, message):
    """What cannot be sent is refused by its name, and without a value that may be a secret."""
    assert refusal(tmp_path, f"[llm]\n{line}\n{MINIMAL}") == message


def test_the_judges_own_settings(tmp_path):
    """The judge has those of the answering model but where `[judge]` says otherwise."""
    path = profile(tmp_path, SERVER + "[judge]\nthought_tokens = 9\nn_ctx = 512\n" + MINIMAL)
    answering = load_configs(path)["mine"].llm
    judging = judge_llm_for(path, answering, None)
    assert judging == replace(answering, thought_tokens=9, n_ctx=512)
    assert judge_llm_for(None, answering, None) == answering


@pytest.mark.parametrize("own", ["", 'model = "openai:j@http://j/v1"'])
def test_a_judge_on_another_model_has_its_own_headers(tmp_path, own):
    """Headers and fields that were written for one model, credentials among them, go to no other."""
    path = profile(tmp_path, f'{SERVER}[judge]\nheaders = {{ X-Other = "1" }}\n{own}\n{MINIMAL}')
    judging = judge_llm_for(path, load_configs(path)["mine"].llm, "" if own else "openai:j@http://j/v1")
    assert judging == LLMConfig(
        "openai:j@http://j/v1", thought_tokens=4000, headers={"X-Other": "1"}, ca_file="ca.pem"
    )


def test_wrong_settings_of_the_judge(tmp_path):
    """They are refused by the name of their table."""
    assert refusal(tmp_path, "[judge]\nthougt_tokens = 3\n" + MINIMAL) == (
        "[judge] unknown key 'thougt_tokens', did you mean 'thought_tokens'?"
    )
    path = profile(tmp_path, "[judge]\nthought_tokens = 0\n" + MINIMAL)
    with pytest.raises(ConfigError) as caught:
        judge_llm_for(path, LLMConfig(), None)
    assert str(caught.value) == f"{path}: [judge] thought_tokens = 0: at least 1"


def test_values_given_in_code_are_checked_too():
    """A config made in code is held to the same ranges as one from a file."""
    with pytest.raises(ConfigError) as caught:
        PipelineConfig("mine", top_k=0)
    assert str(caught.value) == "top_k = 0: at least 1"


def test_an_unknown_pipeline(tmp_path):
    """A name that is not in the file is refused with the names that are."""
    path = profile(tmp_path, "[pipelines.two]\n[pipelines.one]\n")
    with pytest.raises(ConfigError) as caught:
        config_for("three", path=path)
    assert str(caught.value) == "unknown pipeline 'three': known are one, two"


def test_another_model(tmp_path):
    """A model given by name takes the place of the file's, and of nothing else."""
    path = profile(tmp_path, "[llm]\nmodel = 'm'\nn_ctx = 512\n" + MINIMAL + "top_k = 9\n")
    plain, other = config_for("mine", path=path), config_for("mine", path=path, model="other")
    assert plain == PipelineConfig("mine", top_k=9, llm=LLMConfig("m", n_ctx=512))
    assert other == PipelineConfig("mine", top_k=9, llm=LLMConfig("other", n_ctx=512))


def test_threads_are_those_set_or_the_cores_of_this_process(monkeypatch):
    """0 threads takes every core that this process may use, which in a container are not all there are."""
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {2, 5, 7})
    assert LLMConfig(n_threads=0).threads == 3
    assert LLMConfig(n_threads=2).threads == 2


BM25 = {"bm25_k1": 1.2, "bm25_b": 0.5, "bm25_language": "german"}
FUSION = {"vector_weight": 1.0, "bm25_weight": 3.0, "rrf_constant": 60.0, "fusion_depth": 9}


@pytest.mark.parametrize(
    ("settings", "changed"),
    [
        ({}, {"candidates": "vector", "window": 5, **BM25, **FUSION}),
        ({"retriever": "bm25"}, {"candidates": "bm25", "window": 5, "sentence_vectors": True, **FUSION}),
        ({"retriever": "hybrid"}, {"candidates": "hybrid", "window": 5}),
        ({"retriever": "auto_merging", "chunk_sizes": (512, 128)}, {"window": 5, **BM25, **FUSION}),
        (
            {"retriever": "sentence_window"},
            {"candidates": "vector", "sentence_vectors": True, **BM25, **FUSION},
        ),
        ({"expansion": 3}, {"vector_weight": 1.0, "bm25_weight": 3.0, "window": 5, **BM25}),
    ],
)
def test_knobs_without_effect(settings, changed):
    """What a retriever does not ask for is no part of a pipeline's identity."""
    config = PipelineConfig("mine", **settings)
    assert set(changed) <= without_effect(config)
    assert without_effect(replace(config, **changed)) == without_effect(config)


@pytest.mark.parametrize(
    ("settings", "counted"),
    [
        ({}, set()),
        ({"sentence_vectors": True}, {"sentence_vectors"}),
        ({"retriever": "bm25"}, {*BM25}),
        ({"retriever": "hybrid"}, {*BM25, *FUSION}),
        (
            {"retriever": "auto_merging", "chunk_sizes": (512, 128), "candidates": "hybrid"},
            {"candidates", *BM25, *FUSION},
        ),
        ({"retriever": "sentence_window", "candidates": "bm25"}, {"candidates", "window", *BM25}),
        ({"expansion": 3}, {"expansion", "rrf_constant", "fusion_depth"}),
    ],
)
def test_knobs_with_an_effect(settings, counted):
    """Each of the others counts."""
    new = {"candidates", "sentence_vectors", "window", "expansion", *BM25, *FUSION}
    assert new - without_effect(PipelineConfig("mine", **settings)) == counted


def test_how_candidates_are_found():
    """The retriever says it by its name, or `candidates` does, or it is by vectors."""
    merging = PipelineConfig("mine", retriever="auto_merging", chunk_sizes=(512, 128))
    found = [
        PipelineConfig("mine", retriever="bm25"),
        PipelineConfig("mine", retriever="hybrid", candidates="hybrid"),
        merging,
        replace(merging, candidates="bm25"),
        PipelineConfig("mine", retriever="sentence_window", candidates="hybrid"),
    ]
    assert [config.search for config in found] == ["bm25", "hybrid", "vector", "bm25", "hybrid"]


# --- services ---

SERVICE = '[pipelines.mine]\nservice = "http:https://h/ask"\nrequest = { q = "{question}", k = 8 }\n'


def test_services_stand_beside_pipelines(tmp_path):
    """A table with `service` is one; defaults are not for it, and the others are read as ever."""
    path = profile(tmp_path, SERVICE + '[defaults]\ntop_k = 3\n[pipelines.other]\nretriever = "vector"\n')
    assert list(load_configs(path)) == ["other"]
    (service,) = load_services(path).values()
    assert (service.name, service.url, service.request) == (
        "mine",
        "https://h/ask",
        {"q": "{question}", "k": 8},
    )
    assert load_services() == {}
    with pytest.raises(ConfigError) as caught:
        config_for("nine", path=path)
    assert str(caught.value) == "unknown pipeline 'nine': known are mine, other"


def test_the_judge_of_services_alone(tmp_path):
    """Where all are services, judge and generation have the models of `[llm]` and `[defaults]`."""
    path = profile(tmp_path, SERVICE + '[llm]\nmodel = "m.gguf"\n[defaults]\nembedder = "e"\n')
    config = shared_config(path)
    assert (config.llm.model, config.embedder) == ("m.gguf", "e")
    assert shared_config(path, model="other.gguf").llm.model == "other.gguf"
    assert shared_config().name == "baseline"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pipelines]\nmine = 1\n", "[pipelines.mine] is not a table"),
        (
            "[pipelines.mine]\nservice = 1\n",
            "[pipelines.mine] service = 1: wants a text",
        ),
        (
            SERVICE + 'anser = "data.answer"\n',
            "[pipelines.mine] unknown key 'anser', did you mean 'answer'?",
        ),
        (
            SERVICE + 'tokens = { in = "a" }\n',
            "[pipelines.mine] tokens: unknown key 'in': known are read, reused, written",
        ),
        (SERVICE + 'contexts = ["a"]\n', "[pipelines.mine] contexts = ['a']: wants a text"),
    ],
)
def test_a_wrong_service(tmp_path, text, message):
    """What is wrong is said with file, table and key."""
    path = profile(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_services(path)
    assert str(caught.value) == f"{path}: {message}"
