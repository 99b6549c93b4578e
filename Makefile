# Everything that is done with a checkout. Needs Python 3.11 or newer, git and make; the
# virtual environment and what goes into it are made on first use. `make help` lists the rest.
#
#   PYTHON=python3.12   the interpreter to make the environment with
#   VENV=.venv          where the environment is
#   ARGS=…              further arguments of the program that is run

VENV ?= .venv
ARGS ?=

BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help run test fuzz leaks soak kill sanitize test-next lint docs dashboards bench wheel clean

help:  ## say what can be made
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 16

run: $(VENV)/.installed-demo  ## run the demo shop with flaskprof in it: http://127.0.0.1:5000
	$(BIN)/flaskprof demo $(ARGS)

test: $(VENV)/.installed-test  ## run the whole test suite
	$(BIN)/python -m pytest $(ARGS)

fuzz: $(VENV)/.installed-test  ## compare what is in C with what is not: 10,000 programs, 100,000 files
	FLASKPROF_FUZZ_PROGRAMS=10000 FLASKPROF_FUZZ_FILES=100000 $(BIN)/python -m pytest \
	    --timeout 0 tests/capture/test_calltree_fuzz.py \
	    tests/profiles/test_marshal_fuzz.py $(ARGS)

leaks: $(VENV)/.installed-test  ## watch references and memory over 100,000 captures and reads
	FLASKPROF_LEAK_ROUNDS=100000 $(BIN)/python -m pytest --timeout 0 -k flat \
	    tests/capture/test_calltree.py tests/profiles/test_marshal_fuzz.py $(ARGS)

soak: $(VENV)/.installed-test  ## make 1,000 captures back to back on a real server
	SOAK_CAPTURES=1000 $(BIN)/python -m pytest -s tests/test_soak.py $(ARGS)

kill: $(VENV)/.installed-test  ## kill workers, folders, sidecars in 200 rounds; read 10 million cells
	FLASKPROF_KILL_ROUNDS=200 FLASKPROF_TORN_READS=10000000 $(BIN)/python -m pytest -s \
	    --timeout 0 tests/metrics/test_metrics_kill.py tests/metrics/test_server_kills.py \
	    tests/metrics/test_torn_reads.py $(ARGS)

sanitize: $(VENV)/.installed-test  ## run the tests of what is in C under sanitizers of memory
	tests/sanitize.sh $(BIN)/python $(ARGS)

test-next:  ## run the engine's tests on Python 3.14 and 3.15, in a chroot (needs root)
	tests/next.sh

lint: $(VENV)/.installed-test $(VENV)/.installed-lint  ## check style and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

docs: $(VENV)/.installed-demo  ## write anew what is generated in docs/
	$(BIN)/python docs/generate.py

dashboards: $(VENV)/.installed-test  ## write anew the dashboards, and their manifests
	$(BIN)/python dashboards/generate.py
	$(BIN)/python deploy/generate.py

bench: $(VENV)/.installed-bench  ## measure what flaskprof costs, beside others
	$(BIN)/python benchmarks/overhead.py $(ARGS)
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/metrics.py

wheel: $(VENV)/.installed-test  ## build sdist and wheel into dist/
	$(BIN)/python -m build

clean:  ## remove what was made here; captures in .flaskprof stay
	rm -rf $(VENV) .venv-ci-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache
	rm -rf .hypothesis
	find . -name __pycache__ -prune -exec rm -rf {} +

# The first interpreter that is new enough and can make an environment. (A name alone proves
# nothing: pyenv has a shim for every version that it knows.)
$(BIN)/python:
	@for python in $(or $(PYTHON),python3.13 python3.12 python3.11 python3 python); do \
	    if "$$python" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' \
	        2>/dev/null; then \
	        echo "making $(VENV) with $$("$$python" --version)"; \
	        exec "$$python" -m venv $(VENV); \
	    fi; \
	done; \
	echo >&2 "flaskprof needs Python 3.11 or newer with its venv module; found none as" \
	    "$(or $(PYTHON),python3.13 python3.12 python3.11 python3 python). On Debian:" \
	    "apt-get install python3-venv. Elsewhere: make PYTHON=/path/to/python"; \
	exit 1

# One stamp for each extra of pyproject.toml that is installed; installing builds the engine in C.
$(VENV)/.installed-%: pyproject.toml setup.py $(wildcard flaskprof/*/*.c) | $(BIN)/python
	@echo "installing flaskprof[$*] into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[$*]'
	@touch $@
