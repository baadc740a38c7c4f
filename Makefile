# The two commands a newcomer needs are `make run` and `make test`.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Each starts services of several processes: with more of them than processors, tests run into their timeouts.
WORKERS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help install run test quick check page pictures docs fix matrix bench load soak lock env clean

help: ## what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

install: $(VENV)/.installed ## .venv with the locked requirements

run: install ## the whole service with a simulated data server, at http://127.0.0.1:8000
	@$(BIN)/datacosmos serve --demo

test: check docs tests/process/clients/node_modules/.installed ## the checks, then every test on real engines, with its coverage; SEED=n or SEED=random
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses $(WORKERS) --dist loadgroup -m "not serial" $(if $(SEED),--seed $(SEED))
	$(BIN)/python -m pytest -m serial $(if $(SEED),--seed $(SEED))
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

quick: $(VENV)/.installed-test ## the checks that take seconds, then the tests that need no engine
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --numprocesses 2 tests/unit $(if $(SEED),--seed $(SEED))

check: $(VENV)/.installed-test page ## ruff, pyright and import-linter, and the page's types and style
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

page: tests/process/clients/node_modules/.installed ## types (tsc) and style (biome) of datacosmos/page/static
	@tests/process/clients/check-page.sh

fix: $(VENV)/.installed-test ## what ruff and biome can mend, and the formatting
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	@tests/process/clients/check-page.sh --write

matrix: ## the unit tests on each Python from 3.11 to 3.14 that is found here, or on PYTHONS="3.12 …"
	@tests/matrix.sh $(PYTHONS)

docs: $(VENV)/.installed-docs ## the site of docs/, to site/; a link or an anchor that leads nowhere is an error
	$(BIN)/zensical build --strict --clean

pictures: $(VENV)/.installed-test ## the pictures of the page in docs/pictures, taken anew
	$(BIN)/python -m tests.pictures

bench: $(VENV)/.installed-bench bench/peers/node_modules/.installed ## queries, ingest and charts beside their peers, to bench/results; BENCH=--quick only tries it
	$(BIN)/python bench/queries.py $(BENCH)
	$(BIN)/python bench/ingest.py $(BENCH)
	$(BIN)/python bench/summaries.py $(BENCH)

load: $(VENV)/.installed-bench ## 100 users for a minute on the service at LOAD_URL, or on one started for it
	$(BIN)/python bench/load.py

soak: $(VENV)/.installed-bench ## 2,000 readings/s beside 50 readers and 5 subscribers for MINUTES=10; KILLS=n kills that often, as SEED says
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
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-emit-find-links \
		--python-version 3.11 --custom-compile-command "make lock" pyproject.toml --group build --extra docs \
		-c requirements-test.txt -o requirements-docs.txt

env: ## .env with random secrets for docker-compose.yml; an existing one is left alone
	@deploy/make-env.sh

clean: ## remove .venv and the caches; data stays
	rm -rf $(VENV) $(VENV)-3.* .coverage* .pytest_cache .ruff_cache .hypothesis site

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

$(VENV)/.installed-docs: requirements-docs.txt $(VENV)/.installed
	$(PIP) install --require-hashes -r requirements-docs.txt
	@touch $@

# Other people's clients. Where npm can't reach its registry, the tests that need them are skipped, and say so.
tests/process/clients/node_modules/.installed: tests/process/clients/package-lock.json tests/process/clients/package.json | $(VENV)/.installed-test
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm --prefix tests/process/clients --loglevel=error ci && touch $@ || \
		echo "npm can't install the clients in tests/process/clients: their tests will be skipped"

bench/peers/node_modules/.installed: bench/peers/package-lock.json bench/peers/package.json | $(VENV)/.installed-bench
	PATH="$(abspath $(BIN)):$$PATH" $(BIN)/npm --prefix bench/peers --loglevel=error ci
	@touch $@
