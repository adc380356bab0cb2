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
# Every Python that the types are checked for and the pinned packages must exist for.
PYTHONS := 3.11 3.12 3.13 3.14

# Minutes for all readers together.
FUZZ_MINUTES ?= 60

.PHONY: eval test bench fuzz check pythons setup lock clean

eval: setup  ## Every bundled question against both pipelines; shows breaches, ends with status 0.
	@$(BIN)/rag-evals models fetch $(MODELS)
	@$(BIN)/rag-evals models fetch --if-reachable $(RERANKER)
	@rm -f report.html
	@$(BIN)/python -m pytest evals --evals-mode report --evals-html report.html $(ARGS); status=$$?; \
	  if [ -f report.html ]; then printf '\n%s\n%s\n%s\n' \
	    "Every answer with its sources and verdicts: file://$(CURDIR)/report.html" \
	    "Your own documents: . $(BIN)/activate && pytest evals --evals-docs paper.pdf --evals-generate 20" \
	    "Your own questions and pipeline: README.md and docs/"; \
	  fi; exit $$status

test: setup  ## The tests of the harness, a worker each core, up to four; ARGS="-n 0" for one process.
	@$(BIN)/rag-evals models fetch $(TEST_MODELS)
	$(BIN)/python -m pytest tests -n logical --maxprocesses 4 --dist loadscope $(ARGS)

fuzz: setup  ## Every reader on damaged and hostile files, an hour; FUZZ_MINUTES=5 for less.
	FUZZ_MINUTES=$(FUZZ_MINUTES) FUZZ_EXAMPLES=200 $(BIN)/python -m pytest tests/fuzz $(ARGS)

bench: setup  ## Every figure of speed that is quoted, anew, and what moved; ARGS="--data FOLDER --docs mixtral.pdf" for all.
	@$(BIN)/rag-evals models fetch $(MODELS)
	$(BIN)/python -P -m benchmarks $(ARGS)

check: setup  ## Lint, format and types, as CI runs them.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	@mkdir -p build/typing/rag_evals
	@ln -sfn $(CURDIR)/rag $(CURDIR)/evals $(CURDIR)/fixtures $(CURDIR)/rag_evals/*.py build/typing/rag_evals/
	$(BIN)/mypy

pythons: setup  ## Are there packages for every Python, and do the types hold? Runs nothing under them.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	@for python in $(PYTHONS); do \
	  $(BIN)/uv pip compile --quiet --python-version $$python --extra dev --extra tables -c constraints.txt \
	    --only-binary :all: --no-binary llama-cpp-python pyproject.toml --output-file $(VENV)/packages-$$python.txt && \
	  $(BIN)/mypy --python-version $$python || exit 1; echo "Python $$python: packages found, types hold"; \
	done

setup:  ## The environment with everything in it; tries its llama.cpp each time, half a second.
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "rag-evals needs Python 3.11 or newer; name one with PYTHON=/path/to/python3.11"; exit 1; }
	@PYTHONPATH=. $(PYTHON) -P -m rag_evals.rag.native.set_up $(VENV)

lock:  ## Write constraints.txt anew from what is installed.
	@(sed -n '/^#/p' constraints.txt; \
	  $(BIN)/python -m pip list --format freeze --exclude-editable --exclude pip --exclude setuptools | sed 's/+cpu//' | sort -f) > constraints.new
	@mv constraints.new constraints.txt

clean:  ## Remove the environment, runs and indexes; models stay in the cache.
	rm -rf $(VENV) .rag-evals
