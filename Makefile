# Needs Python 3.11 or newer and make; everything else is set up in .venv from the lock file. With a C compiler and
# Python's headers the matching core is compiled too; without them the same is done in Python.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
VENV ?= .venv
BIN := $(VENV)/bin

.PHONY: install demo run test lint lock clean

install: $(BIN)/.installed

$(BIN)/.installed: requirements.lock pyproject.toml hatch_build.py $(wildcard monitor/*/compiled/*.c)
	@test -n "$(PYTHON)" || { echo "News Monitor needs Python 3.11 or newer on PATH."; exit 1; }
	@echo "Setting up $(VENV) with $(PYTHON) (a minute or two, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: install
	@$(BIN)/monitor demo

run: install
	@$(BIN)/monitor run

test: install lint
	@$(BIN)/python -m pytest tests --ignore tests/acceptance --numprocesses 2 --dist loadfile
	@$(BIN)/python -m pytest tests/acceptance --numprocesses 2 --dist loadfile --durations 10

lint: install
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-logo
	@$(BIN)/hadolint Dockerfile

# Resolves for all supported Pythons and platforms at once; uv is needed for this only. The extra `bench` stays out.
lock:
	uv pip compile pyproject.toml --extra dev --extra postgres --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-emit-find-links --no-annotate --no-header --output-file requirements.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
