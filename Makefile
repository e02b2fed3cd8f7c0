# Two commands set up everything on a fresh machine that has Python 3.11 or newer with pip:
#   make demo   train and sparsify a small network, write a report
#   make test   lint, types, docs, tests
# `make help` lists the rest.

VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip --disable-pip-version-check
# The first interpreter that is new enough; say `make PYTHON=/path/to/python` to choose another.
PYTHON ?= $(shell for p in python3 python3.14 python3.13 python3.12 python3.11 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v $$p; break; }; done)

STEPS := lint types docs check

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types docs serve check slow clean

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name what; do \
		printf '%-12s %s\n' "$$name" "$$what"; done

# -- what users run -----------------------------------------------------------------------------------------------

demo: $(VENV)/.demo ## train dense, RigL and IEE networks on digits, compare them, write a report
	$(BIN)/niwaki demo --out runs/demo --overwrite

# Every step runs, whatever became of the one before; the tests come last, so that their closing line stands at the end.
test: $(VENV)/.dev ## everything continuous integration runs
	@failed=; for step in $(STEPS); do $(MAKE) --no-print-directory $$step || failed="$$failed $$step"; done; \
	if [ -n "$$failed" ]; then echo "failed:$$failed" >&2; exit 1; fi

# -- its parts ----------------------------------------------------------------------------------------------------

lint: $(VENV)/.dev ## style and formatting
	$(BIN)/ruff check
	$(BIN)/ruff format --check

format: $(VENV)/.dev ## put formatting and simple style right
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types: $(VENV)/.dev ## static types of package, tests and benchmarks
	$(BIN)/mypy

docs: $(VENV)/.dev ## build the documentation into site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

serve: $(VENV)/.dev ## look at the documentation while writing it
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs serve

# On all cores, up to four: each process loads torch. A file's tests stay together, since they share what they made ready.
check: $(VENV)/.dev ## the tests, doctests and examples in the docs
	$(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

slow: $(VENV)/.dev ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

clean: ## remove the environment and everything that was built
	rm -rf $(VENV) site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find src tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +

# -- the environment: a stamp per set of extras, older than pyproject.toml = install again --------------------------

# Some systems ship Python without the pip that `venv` wants to copy; the system's own pip then fills the environment.
$(BIN)/python:
	@[ -n "$(PYTHON)" ] || { echo "niwaki needs Python 3.11 or newer; none was found on PATH" >&2; exit 1; }
	@"$(PYTHON)" -m venv $(VENV) >/dev/null 2>&1 || { \
		rm -rf $(VENV); "$(PYTHON)" -m venv --without-pip $(VENV) && \
		"$(PYTHON)" -m pip --disable-pip-version-check --python $(BIN)/python install --quiet pip; }

$(VENV)/.demo: pyproject.toml | $(BIN)/python
	@echo "installing niwaki into $(VENV) (minutes the first time: torch is large)"
	@$(PIP) install --quiet --editable ".[demo]"
	@touch $@

$(VENV)/.dev: pyproject.toml | $(BIN)/python
	@echo "installing niwaki and its tools into $(VENV) (minutes the first time: torch is large)"
	@$(PIP) install --quiet --editable ".[dev]"
	@touch $@ $(VENV)/.demo
