# The two commands a newcomer needs are `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install run test check bench load soak lock env clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## .venv with the locked requirements

run: install ## the whole service with a simulated data server, at http://127.0.0.1:8000
	@$(BIN)/datacosmos serve --demo

test: check ## the checks, then every test on real engines
	$(BIN)/python -m pytest

check: $(VENV)/.installed-test ## ruff, pyright and import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

bench: $(VENV)/.installed-bench bench/peers/node_modules/.installed ## queries and ingest beside their peers, to bench/results; BENCH=--quick only tries it
	$(BIN)/python bench/queries.py $(BENCH)
	$(BIN)/python bench/ingest.py $(BENCH)

load: $(VENV)/.installed-bench ## 100 users for a minute on the service at LOAD_URL, or on one started for it
	$(BIN)/python bench/load.py

soak: $(VENV)/.installed-bench ## 2,000 readings/s beside 50 readers for MINUTES=10; KILLS=n kills that often, as SEED says
	@$(BIN)/python bench/soak.py $(if $(MINUTES),--minutes $(MINUTES)) $(if $(KILLS),--kills $(KILLS)) $(if $(SEED),--seed $(SEED))

lock: | $(BIN)/python ## new hash-locked requirements from pyproject.toml
	$(PIP) install uv
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --custom-compile-command "make lock" pyproject.toml --group build -o requirements.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --custom-compile-command "make lock" pyproject.toml --group build --extra test -o requirements-test.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --custom-compile-command "make lock" pyproject.toml --group build --extra bench \
		-c requirements-test.txt -o requirements-bench.txt

env: ## .env with random secrets for docker-compose.yml; an existing one is left alone
	@deploy/make-env.sh

clean: ## remove .venv and the caches; data stays
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "DataCosmos needs Python 3.11 or newer; found $$($(PYTHON) --version). Try: make PYTHON=python3.12 $(MAKECMDGOALS)"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: requirements.txt pyproject.toml | $(BIN)/python
	$(PIP) install --require-hashes -r requirements.txt
	$(PIP) install --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.installed-test: requirements-test.txt $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements-test.txt
	@touch $@

$(VENV)/.installed-bench: requirements-bench.txt $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements-bench.txt
	@touch $@

bench/peers/node_modules/.installed: bench/peers/package-lock.json bench/peers/package.json | $(VENV)/.installed-bench
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm --prefix bench/peers --loglevel=error ci
	@touch $@
