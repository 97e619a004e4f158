# Needs make and a Python of 3.11 or newer with its venv module; the rest is installed into $(VENV).
#
#   make demo          build a small snapshot and open it
#   make test          run the tests, two at a time (PYTEST_ARGS="-k name" to choose; JOBS=0: one)
#   make random        compare 2,100 random snapshots with the kernel, as root (RANDOM_SEED=2 for others)
#   make fuzz          let coverage guide the fuzzing of every parser (FUZZ_SECONDS=10 for each)
#   make bench         time the export against other tools (BENCH_ARGS=--quick to try it)
#   make bench-app     time the keys of the app at 1,000,000 rows, beside Textual's own Tree
#   make bench-document  the same, with the figures put into docs/ (on a quiet machine, 35 minutes)
#   make check         lint, types, tests and screenshots, as CI does

.DEFAULT_GOAL := demo
.DELETE_ON_ERROR:
.PHONY: demo test random fuzz lint types screenshots screenshots-check bench bench-document bench-app check clean

VENV ?= .venv
PYTHON ?= $(shell for python in python3.13 python3.12 python3.11 python3; do \
	if $$python -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' \
	>/dev/null 2>&1; then echo $$python; break; fi; done)
BIN := $(VENV)/bin
PIP = $(BIN)/python -m pip --quiet --disable-pip-version-check
PYTEST_ARGS ?=
JOBS ?= 2

$(VENV)/created:
	@test -n "$(PYTHON)" || { echo "no Python 3.11 or newer with its venv module found;" \
		"install one (Debian: apt install python3-venv) or name it: make PYTHON=..." >&2; exit 1; }
	$(PYTHON) -m venv "$(VENV)"
	@touch $@

# The project is installed as a link to this checkout, with the versions of constraints.txt. Its
# bytecode is written as for an installed one, so that no command has to compile it at its start.
$(VENV)/installed: $(VENV)/created pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt hatchling editables
	$(PIP) install -c constraints.txt --no-build-isolation -e .
	@$(BIN)/python -m compileall -q engine tui
	@touch $@

$(VENV)/installed-dev: $(VENV)/installed
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[dev,containerd]'
	@touch $@

demo: $(VENV)/installed
	@$(BIN)/whiteout demo

test: $(VENV)/installed-dev
	$(BIN)/python -m pytest --numprocesses $(JOBS) --dist worksteal $(PYTEST_ARGS)

FUZZ_SECONDS ?= 10

$(VENV)/installed-fuzz: $(VENV)/installed-dev
	$(PIP) install -c constraints.txt --no-build-isolation -e '.[fuzz]'
	@touch $@

# The same in every run; RANDOM_SEED=2 makes others.
RANDOM_EXAMPLES ?= 700
RANDOM_SEED ?= 1

random: $(VENV)/installed-dev
	WHITEOUT_TEST_EXAMPLES=$(RANDOM_EXAMPLES) $(BIN)/python -m pytest \
		--hypothesis-seed=$(RANDOM_SEED) tests/test_differential.py tests/test_differential_marks.py

fuzz: $(VENV)/installed-fuzz
	cd tests/fuzz && $(abspath $(BIN))/python guided.py all $(FUZZ_SECONDS)

lint: $(VENV)/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-cache

types: $(VENV)/installed-dev
	$(BIN)/mypy

screenshots: $(VENV)/installed-dev
	$(BIN)/python screenshots/make.py

screenshots-check: $(VENV)/installed-dev
	$(BIN)/python screenshots/make.py --check

BENCH_ARGS ?=

bench: $(VENV)/installed
	$(BIN)/python benchmarks/run.py $(BENCH_ARGS)

bench-document: $(VENV)/installed
	$(BIN)/python benchmarks/run.py --json docs/performance.json --plots docs/performance \
		--document docs/performance.md $(BENCH_ARGS)

bench-app: $(VENV)/installed
	$(BIN)/python benchmarks/app.py $(BENCH_ARGS)

check: lint types test screenshots-check

clean:
	rm -rf .venv .pytest_cache .mypy_cache .ruff_cache .hypothesis
