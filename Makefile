# Everything a newcomer needs: `make eval` and `make test`. Both set up what is missing first.

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3.14 || \
  command -v python3)
VENV := .venv
BIN := $(VENV)/bin
MODELS := qwen2.5-coder-1.5b-instruct all-minilm-l6-v2
TEST_MODELS := smollm2-135m-instruct all-minilm-l6-v2
RERANKER := ms-marco-minilm-l-6-v2
# More options for pytest, such as ARGS="-k experts -x".
ARGS ?=

.PHONY: eval test check setup lock clean

eval: setup  ## Every bundled question against both pipelines; shows breaches, ends with status 0.
	@$(BIN)/rag-evals models fetch $(MODELS)
	@$(BIN)/rag-evals models fetch --if-reachable $(RERANKER)
	$(BIN)/python -m pytest evals --evals-mode report $(ARGS)

test: setup  ## The tests of the harness.
	@$(BIN)/rag-evals models fetch $(TEST_MODELS)
	$(BIN)/python -m pytest tests $(ARGS)

check: setup  ## Lint, format and types, as CI runs them.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

setup:  ## The environment with everything in it; tries its llama.cpp each time, half a second.
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "rag-evals needs Python 3.11 or newer; name one with PYTHON=/path/to/python3.11"; exit 1; }
	@PYTHONPATH=. $(PYTHON) -P -m rag.native.set_up $(VENV)

lock:  ## Write constraints.txt anew from what is installed.
	@(sed -n '/^#/p' constraints.txt; \
	  $(BIN)/python -m pip list --format freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu//' | sort -f) > constraints.new
	@mv constraints.new constraints.txt

clean:  ## Remove the environment, runs and indexes; models stay in the cache.
	rm -rf $(VENV) .rag-evals
