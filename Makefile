# What one does with this project. Each target sets up what it needs in .venv, once.
#
#   make train   train a small network on handwritten digits with two workers
#   make test    run the tests
#   make check   lint, format, types, and who may import whom; changes nothing
#   make fix     let the linter and the formatter change what they can
#   make bench   measure beside PyTorch, a quarter of an hour; ARGS="--only blitz-b64" for a part
#   make clean   remove what these targets have made; results in runs/ stay

VENV ?= .venv
BIN := $(VENV)/bin
BENCH := $(VENV)/bench
# The first Python on the path that is new enough (see requires-python in pyproject.toml).
PYTHON ?= $(shell for python in python3 python python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$python && break; done)
PIP_INSTALL = $(BIN)/python -m pip install -qq --disable-pip-version-check --editable

.PHONY: train test check fix bench clean

train: $(VENV)/.base
	@$(BIN)/ddp train configs/digits.toml --workers 2 --out runs/digits-$$(date +%Y%m%d-%H%M%S)

test: $(VENV)/.dev
	@$(BIN)/pytest --quiet $(ARGS)

check: $(VENV)/.dev
	@status=0; \
	$(BIN)/ruff check --quiet . || status=1; \
	$(BIN)/ruff format --quiet --check . || { echo 'format: `make fix` mends it'; status=1; }; \
	$(BIN)/mypy --no-error-summary || status=1; \
	report=$$($(BIN)/lint-imports --no-cache) || { echo "$$report"; status=1; }; \
	exit $$status

fix: $(VENV)/.dev
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

bench: $(BENCH)/.ready
	@$(BENCH)/bin/python -m benchmarks --out benchmarks/results/$$(date +%Y-%m-%d-%H%M).json $(ARGS)

clean:
	rm -rf .venv build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps: an environment is set up again when pyproject.toml has changed.

$(BIN)/python:
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed, and none was found' >&2; exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml | $(BIN)/python
	@echo 'Setting up $(VENV) (once)'
	@$(PIP_INSTALL) .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo 'Setting up $(VENV) with test tools and MPI (once)'
	@$(PIP_INSTALL) '.[test,mpi]'
	@touch $@ $(VENV)/.base

# An environment of its own, for PyTorch is no part of ours. TORCH_INDEX may name an index that has
# builds of it for CPUs only, which are much smaller.
$(BENCH)/.ready: pyproject.toml
	@test -n '$(PYTHON)' || { echo 'Python 3.11 or newer is needed, and none was found' >&2; exit 1; }
	@echo 'Setting up $(BENCH) with PyTorch to compare with (once)'
	@$(PYTHON) -m venv $(BENCH)
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check --editable '.[bench]'
	@$(BENCH)/bin/python -m pip install -qq --disable-pip-version-check \
		$(TORCH_INDEX:%=--extra-index-url %) 'torch==2.13.0' && touch $@ \
		|| echo 'PyTorch 2.13.0 cannot be installed here: only ours will be measured' >&2
