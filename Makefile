# Every target makes what it needs and may be repeated.  Interpreter: make PYTHON=python3.12 ...
PYTHON ?= python3
VENV := $(or $(MINIGRAD_VENV),.venv)
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# make demo SMALL=1 trains a few epochs only; ARGS is handed on to the command behind a target.
DEMO_ARGS := $(if $(SMALL),--epochs 3) $(ARGS)

.DEFAULT_GOAL := help
.PHONY: help demo test test-plain test-quick lint types cuda-test mpi-test newest-test wheel-test bench clean

help:
	@echo "make demo        train the recipe on the embedded digits (SMALL=1: three epochs)"
	@echo "make test        run all tests but those of the CUDA kernels"
	@echo "make test-quick  run a sample of them, the same every time: what to run at each change"
	@echo "make test-plain  run the tests without Numba: MINIGRAD_PLAIN=1, every kernel its NumPy reference"
	@echo "make lint        check the style with ruff"
	@echo "make types       check the annotations with mypy"
	@echo "make cuda-test   check the CUDA kernels without a GPU: simulate them, read what they compile to"
	@echo "make mpi-test    train on several ranks: installs the extra mpi, and with it an MPI"
	@echo "make newest-test run the sample of make test-quick on the newest Python and NumPy at hand"
	@echo "make wheel-test  build the wheel, install it elsewhere and train with it"
	@echo "make bench       list the benchmarks; ARGS='gemm --vs numpy' runs one"
	@echo "make clean       remove .venv, builds and caches inside this folder"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || { \
	    echo "minigrad needs Python 3.11 to 3.13, but '$(PYTHON)' is" \
	        "$$($(PYTHON) --version 2>&1 || true). Choose another: make PYTHON=python3.12 ..." >&2; \
	    exit 1; }
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing minigrad and what it needs into $(VENV) ..."
	@$(PIP) --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing minigrad and its development tools into $(VENV) ..."
	@$(PIP) --editable ".[dev]"
	@touch $(VENV)/.installed $@

demo: $(VENV)/.installed
	$(BIN)/minigrad train $(DEMO_ARGS)

# A process that is done takes over what a slower one has left, so that all end together.
PARALLEL := -n auto --maxprocesses 4 --dist worksteal

# What cuda-test runs is left to it, so that CI simulates no kernel twice.
CUDA_TESTS := tests/cuda_simulated tests/cuda_pretended
NO_CUDA := $(addprefix --ignore=,$(CUDA_TESTS))

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(NO_CUDA) $(PARALLEL) $(ARGS)

test-quick: $(VENV)/.installed-dev
	$(BIN)/python -m pytest --quick $(NO_CUDA) $(PARALLEL) $(ARGS)

# What plain mode has not is named, with the reasons, in tests/plain_mode.py.  The processes share
# the cores, and NumPy's own threads would only wait for each other.
test-plain: $(VENV)/.installed-dev
	OPENBLAS_NUM_THREADS=1 MINIGRAD_PLAIN=1 $(BIN)/python -m pytest --ignore=kernels $(PARALLEL) $(ARGS)

lint: $(VENV)/.installed-dev
	$(BIN)/python -m ruff check . $(ARGS)

types: $(VENV)/.installed-dev
	$(BIN)/python -m mypy $(ARGS)

# Environments of their own, each with its extras: numba-cuda takes the place of the numba.cuda that
# Numba brings, and make test shows what is skipped without MPI.
EXTRAS_cuda := dev,cuda,cuda-check
EXTRAS_mpi := dev,mpi
EXTRAS_newest := dev
# The newest Python that minigrad is for and this machine has, pyenv's among them.
ifneq ($(filter newest-test,$(MAKECMDGOALS)),)
NEWEST ?= $(firstword $(foreach p,python3.13 python3.12,$(foreach q,\
    $(p) $(wildcard $(HOME)/.pyenv/versions/*/bin/$(p)),$(shell $(q) -c 'print("$(q)")' 2>/dev/null))))
endif
INTERPRETER_newest = $(NEWEST)

$(VENV)-%/.installed: pyproject.toml | $(BIN)/python
	@$(or $(INTERPRETER_$*),$(BIN)/python) -m venv $(VENV)-$*
	@echo "Installing minigrad with $(EXTRAS_$*) into $(VENV)-$* ..."
	@$(VENV)-$*/bin/python -m pip install --quiet --disable-pip-version-check --editable ".[$(EXTRAS_$*)]"
	@touch $@

# Whole files stay together here: those that compile do it once, in processes of their own.
cuda-test: $(VENV)-cuda/.installed
	MINIGRAD_REQUIRE_CUDA_TOOLS=1 $(VENV)-cuda/bin/python -m pytest $(CUDA_TESTS) \
	    $(PARALLEL) --dist loadfile $(ARGS)

mpi-test: $(VENV)-mpi/.installed
	MINIGRAD_REQUIRE_MPI=1 $(VENV)-mpi/bin/python -m pytest tests/distributed $(ARGS)

# NumPy's newest releases come for the newest Pythons alone.  What NumPy changes shows without
# compiling; a few tests show that Numba goes with it.
newest-test: $(if $(NEWEST),$(VENV)-newest/.installed)
ifeq ($(NEWEST),)
	@echo "no Python 3.12 or 3.13 here: make newest-test NEWEST=/path/to/python3.13"
else
	OPENBLAS_NUM_THREADS=1 MINIGRAD_PLAIN=1 $(VENV)-newest/bin/python -m pytest --quick \
	    tests minigrad $(NO_CUDA) $(PARALLEL) $(ARGS)
	$(VENV)-newest/bin/python -m pytest tests/train/test_trainer.py tests/kernels/test_parallel.py \
	    $(PARALLEL) $(ARGS)
endif

wheel-test: $(VENV)/.installed-dev
	$(BIN)/python .ci/wheel_test.py $(ARGS)

bench: $(VENV)/.installed
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv .venv-* .ci-work build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
