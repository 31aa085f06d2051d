# Everything a developer or a user runs; each target sets up what it needs.
PYTHON ?= python3
VENV := .venv
ifeq ($(OS),Windows_NT)
BIN := $(VENV)/Scripts
else
BIN := $(VENV)/bin
endif
READY := $(VENV)/ready
DEV := $(VENV)/dev-ready

.PHONY: demo test check lint format types clean

$(READY): pyproject.toml .ci/constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint .ci/constraints.txt --editable .
	@touch $@

$(DEV): $(READY)
	$(BIN)/python -m pip install --quiet --no-compile --disable-pip-version-check --constraint .ci/constraints.txt pip
	$(BIN)/python -m pip install --quiet --no-compile --constraint .ci/constraints.txt --group dev
	@touch $@

# The main job on the embedded server: nothing is paid, nothing leaves this machine.
demo: $(READY)
	$(BIN)/batchgen rehearse manifests/postcards.csv --out out/postcards

# Everything that guards money and data, in a few minutes.
test: $(DEV)
	$(BIN)/python -m pytest --quiet --numprocesses auto --dist worksteal -m "not slow"

# And what takes long: memory of large manifests, whole nights, the tests of the tests.
.PHONY: test-all
test-all: test
	$(BIN)/python -m pytest --quiet --numprocesses auto --dist worksteal -m slow

# What the tests reach, in the terminal and as build/coverage/index.html.
.PHONY: coverage
coverage: $(DEV)
	$(BIN)/python -m pytest --quiet --numprocesses auto --dist worksteal -m "not slow" \
	  --cov --cov-report term:skip-covered --cov-report html:build/coverage

# The pages of docs/ and the API reference as a web site in build/docs.
.PHONY: docs
docs: $(DEV)
	$(BIN)/python -m pip install --quiet --no-compile --constraint .ci/constraints.txt --group docs
	$(BIN)/mkdocs build --strict --config-file - < docs/mkdocs.yml

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: $(DEV)
	$(BIN)/mypy

check: lint types test

format: $(DEV)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis

# Long form of the kill tests: every fsync of a run in turn, then 200 random moments with 2% of every fault on (half an
# hour); and an export to every format at each of its durable calls.
.PHONY: crash
crash: $(DEV)
	$(BIN)/python -m tests.money.crash 200
	$(BIN)/python -m tests.money.scenes
	$(BIN)/python -m tests.export.kills

# Every figure in one table, against a bare loop of the same run; a few minutes. `python -m tests.bench --json` too.
.PHONY: bench
bench: $(DEV)
	$(BIN)/python -m tests.bench

# The README's picture of a run, drawn from a rehearsal that is on.
.PHONY: picture
picture: $(READY)
	$(BIN)/python .github/terminal.py
