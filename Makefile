# Every target is one word for one intention; `make help` lists them.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
DEMO ?= outputs/demo
DEMO_ARGS ?=
PYTEST_ARGS ?=
SWEEP_ARGS ?=
DATA ?=
REPRODUCE_ARGS ?= $(if $(DATA),--data $(DATA))

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-all check lint types notebooks measure-zoo docs docs-serve reproduce reproduce-list wheel clean

help: ## List the targets
	@grep -hE '^[a-z%-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 16

PIP_INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "facedet needs Python 3.11 or newer: make PYTHON=python3.11 …")'
	$(PYTHON) -m venv $(VENV)

$(BIN)/facedet: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable .
	@touch $@

# All at once, not what a user has first: pip takes half a minute for each time that it is asked.
$(VENV)/.tested-with: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP_INSTALL) --editable ".[dev]"
	@touch $(BIN)/facedet $@

setup: $(BIN)/facedet ## Create .venv with a working facedet

demo: setup ## Train a detector on the embedded crowds for about two minutes, measure it, show its faces
	$(BIN)/facedet train experiment=demo paths.output=$(DEMO) overwrite=true $(DEMO_ARGS)
	$(BIN)/facedet evaluate weights=$(DEMO)/weights.safetensors paths.output=$(DEMO)/evaluation

# As many processes as cores, with one thread each: more threads only wait for each other.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest --numprocesses auto --dist worksteal

test: $(VENV)/.tested-with ## Run the tests, without the slow ones
	$(PYTEST) -m "not slow" $(PYTEST_ARGS)

test-all: $(VENV)/.tested-with ## Run all tests, as CI does
	$(PYTEST) $(PYTEST_ARGS)

lint: $(VENV)/.tested-with ## Check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.tested-with ## Check types
	$(BIN)/mypy

check: lint types test ## What to run before a change is handed in

# Pictures as JPEG: a notebook stays below a megabyte.
notebooks: $(VENV)/.tested-with ## Run the notebooks and store them with their outputs
	$(BIN)/python -m nbconvert --to notebook --execute --inplace notebooks/*.ipynb \
		--ExecutePreprocessor.record_timing=False \
		--ExecutePreprocessor.extra_arguments=--InlineBackend.figure_formats=jpeg

# Milliseconds for the model zoo, on a quiet machine; ZOO: names of `facedet weights list`.
ZOO ?= extd-plain-64-s8 extd-plain-48-s8 extd-plain-32-s8 extd-plain-32 extd-plain-64 extd-fpn-32-prelu extd-fpn-64-prelu
MEASURE := OMP_WAIT_POLICY=PASSIVE $(BIN)/facedet benchmark engines --weights $(ZOO)
measure-zoo: setup ## Time the weights of ZOO in every engine, for the model zoo (minutes)
	$(MEASURE) --threads 1 --output docs/measured/engines_1_thread.json
	$(MEASURE) --threads 2 --output docs/measured/engines_2_threads.json

$(VENV)/.docs: $(BIN)/facedet
	$(PIP_INSTALL) --editable ".[docs]"
	@touch $(BIN)/facedet $@

# Material's advice on its successor is no matter of this build.
MKDOCS := NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs

docs: $(VENV)/.docs ## Build the site into outputs/site; open its index.html
	$(MKDOCS) build --strict

docs-serve: $(VENV)/.docs ## Serve the site on 127.0.0.1:8000, built again at each change
	$(MKDOCS) serve --strict

sweep-%: setup ## Run a sweep, sweep-extd_grid say; SWEEP_ARGS="budget=short …"
	$(BIN)/facedet sweep $* $(SWEEP_ARGS)

reproduce: setup ## Run the papers' experiments that fit in an hour; DATA=folder of data and weights
	$(BIN)/facedet reproduce $(REPRODUCE_ARGS)

reproduce-list: setup ## What each experiment costs, needs and should give
	@$(BIN)/facedet reproduce --list $(REPRODUCE_ARGS)

reproduce-%: setup ## Run one experiment of the list, reproduce-E2 say
	$(BIN)/facedet reproduce $* $(REPRODUCE_ARGS)

wheel: $(VENV)/.tested-with ## Build the wheel into dist/
	$(BIN)/python -m build --wheel

clean: ## Remove what the tools leave behind; keeps .venv and outputs/
	rm -rf dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis
