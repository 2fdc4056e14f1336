# make demo — a demonstration office on http://localhost:8080, from nothing but Python 3.11 or newer
# make test — everything that must hold: lint, types, architecture, unit, property, integration, browser

PYTHON ?= python3
VENV = .venv
BIN = $(VENV)/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check
ARGS ?=
LEDGER_ARGS ?=
IMPORTS_ARGS ?=
SEARCH_ARGS ?=

# Hundreds of processes start in the tests: each would compile everything anew without compiled files beside the sources.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: demo test lint types unit bench lock upgrade screenshots clean apt

demo: $(VENV)/runtime
	@$(BIN)/ebok demo $(ARGS)

test: apt $(VENV)/development lint types unit

lint: $(VENV)/development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo
	$(BIN)/djlint --quiet --lint kernel/templates plugins themes

types: $(VENV)/development
	$(BIN)/pyright

unit: $(VENV)/development
	$(BIN)/pytest -n 2 --dist loadfile $(ARGS)

bench: $(VENV)/development
	$(BIN)/python -m bench.run $(ARGS)
	$(BIN)/python -m bench.ledger $(LEDGER_ARGS)
	$(BIN)/python -m bench.imports $(IMPORTS_ARGS)
	$(BIN)/python -m bench.search $(SEARCH_ARGS)
	$(BIN)/python -m bench.exports $(EXPORTS_ARGS)

screenshots: $(VENV)/development
	$(BIN)/python docs/screenshots.py $(ARGS)

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "ebok needs Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) \
	  || { echo "Python's venv module is missing (Debian: apt install python3-venv)"; rm -rf $(VENV); exit 1; }

$(VENV)/runtime: requirements.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what ebok needs …"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/development: requirements-dev.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing what the tests need …"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/runtime

# What the tests of browser, paper and foreign databases use of the system: installed on Debian as root, otherwise left to
# the tests to miss. mariadb-server-core is the server without a service: nothing starts until a test starts it.
apt:
	@if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	  ! { command -v chromium && command -v pdftoppm && command -v runuser && command -v mariadbd; } >/dev/null; then \
	  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
	    chromium poppler-utils fonts-dejavu-core util-linux mariadb-server-core >/dev/null; fi

LOCK = $(BIN)/uv pip compile -q --universal --generate-hashes --python-version 3.11 --no-emit-index-url --no-annotate \
  --no-header --group build pyproject.toml

lock: $(VENV)/development
	$(LOCK) $(UPGRADE) -o requirements.lock
	$(LOCK) $(UPGRADE) --extra test -c requirements.lock -o requirements-dev.lock

upgrade:
	$(MAKE) lock UPGRADE=--upgrade

clean:
	rm -rf $(VENV) build dist .pytest_cache .ruff_cache .hypothesis
