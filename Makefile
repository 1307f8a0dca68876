# Everything a user needs: `make run` and `make test`. Both work on a machine with only Python >= 3.11 and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
SOURCE := $(shell find src -type f -not -name '*.pyc')

.PHONY: setup run test quick format clients bench scoreboard clean help

help:            ## Say what there is to make
	@grep -E '^[a-z]+:.*##' Makefile | sed -E 's/:[^#]*## /\t/' | expand -t 12

setup: $(VENV)/.wheel  ## Prepare .venv: Penstock as built, and what its tests need

run: setup       ## Start the gateway on 127.0.0.1:8787 (ARGS="--port 0" and the like are passed on)
	@$(BIN)/penstock serve $(ARGS)

test: setup      ## Run all tests against the built wheel (ARGS go to pytest)
	@$(BIN)/python -m pytest -n auto $(ARGS)

quick: setup     ## Run the tests that take no time
	@$(BIN)/python -m pytest -n auto -m "not weighty" $(ARGS)

format: setup    ## Format and sort imports
	@$(BIN)/ruff format . && $(BIN)/ruff check --fix .

clients: setup   ## Try clients no one here wrote, by base URL alone (needs Node for some)
	@$(BIN)/python tests/clients/matrix.py $(ARGS)

bench: setup     ## Measure; see docs/benchmarks.md
	@$(BIN)/python -m bench $(ARGS)

scoreboard: setup ## Break the upstream on purpose, and count; see docs/scoreboard.md
	@$(BIN)/python -m bench.scoreboard $(ARGS)

clean:           ## Remove what was built
	rm -rf $(VENV) .cache dist build frontend/node_modules src/penstock/dashboard/static/vendor

$(VENV)/.ready: pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Penstock needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Try: make PYTHON=python3.12")'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing what Penstock and its tests need ..."
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev hatchling
	@touch $@

# What the web pages take from others lands in the source too, so that they have their plots from either.
$(VENV)/.frontend: $(VENV)/.ready build_frontend.py frontend/package.json frontend/package-lock.json
	@$(BIN)/python build_frontend.py
	@touch $@

$(VENV)/.wheel: $(VENV)/.frontend $(SOURCE) README.md
	@rm -rf dist && $(BIN)/python -m build --wheel --no-isolation . > $(VENV)/build.log 2>&1 || (cat $(VENV)/build.log; exit 1)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check dist/*.whl
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall dist/*.whl
	@touch $@
