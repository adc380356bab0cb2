"""The two small real models, loaded once a session, and a corpus to index."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from rag_evals.rag.config.llm import LLMConfig
from rag_evals.rag.documents.document import Corpus, Document
from rag_evals.rag.llm.local.llama_cpp import LlamaCppModel
from rag_evals.rag.llm.local.local_llm import LocalLLM
from rag_evals.rag.models.resolve import Model, resolve
from rag_evals.rag.native.hosting.models_folder import models_folder
from rag_evals.rag.retrieval.embedder import Embedder

from tests.servers.postgres import Postgres

# One thread, so that the tests of this folder take as long beside other work as alone.
SMALL = LLMConfig(model="smollm2-135m-instruct", n_ctx=2048, n_threads=1)


@pytest.fixture(scope="session")
def smollm2() -> Model:
    """The file of a small language model; what it says is of no use, how it computes is like any other."""
    return resolve(SMALL.model)


@pytest.fixture(scope="session")
def llm(smollm2: Model) -> Iterator[LocalLLM]:
    """The small language model, with whatever earlier tests left in its cache."""
    loaded = LocalLLM(smollm2, SMALL)
    yield loaded
    loaded.close()


@pytest.fixture(scope="session")
def llama(smollm2: Model) -> LlamaCppModel:
    """The small language model in the process of the tests, for those that look inside."""
    return LlamaCppModel(smollm2, SMALL)


@pytest.fixture
def fresh_llm(smollm2: Model) -> Iterator[Callable[[LLMConfig], LocalLLM]]:
    """Loads the small language model anew, with an empty cache."""
    loaded: list[LocalLLM] = []

    def load(config: LLMConfig = SMALL) -> LocalLLM:
        loaded.append(LocalLLM(smollm2, config))
        return loaded[-1]

    yield load
    for each in loaded:
        each.close()


# Where the tests of this folder share models that torch runs: importing it takes seconds.
MODELS = models_folder()


@pytest.fixture(scope="session")
def embedder() -> Embedder:
    """A small embedder."""
    return Embedder(resolve("all-minilm-l6-v2"), models_folder=MODELS)


@pytest.fixture(scope="session")
def torch_stays(embedder: Embedder) -> None:
    """Keep the process of torch for the whole session."""
    embedder.load()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL with pgvector."""
    with Postgres.started() as server:
        yield server


TOPICS = {
    "router": "The router of a mixture of experts sends each token to two of eight experts. "
    "A gate scores every expert and keeps the two highest. The load of the experts is balanced. ",
    "volcano": "The volcano erupted at dawn and covered the valley in grey ash. "
    "Lava ran down the slope into the sea. The villagers had left the island by boat. ",
    "bread": "The baker lets the dough rise over night before the oven is lit. "
    "Flour, water and salt are all that a good loaf needs. The crust sings when it cools. ",
    "chess": "The queen moves along ranks, files and diagonals. "
    "A pawn that reaches the last rank is promoted. Castling moves king and rook in one turn. ",
}


@pytest.fixture(scope="session")
def paged() -> Corpus:
    """One document of four pages, each on one topic and about 170 tokens long."""
    pages = [sentences * 4 for sentences in TOPICS.values()]
    text = "\n\n".join(page.strip() for page in pages)
    starts = tuple(text.index(page[:20]) for page in pages)
    return Corpus((Document("topics.pdf", text, starts, "0" * 64),))
