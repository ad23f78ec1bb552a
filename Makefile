# audiotag needs Python 3.11 or newer and make, nothing else. `make` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; break; }; done)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
PYTEST := $(BIN)/python -m pytest -q
# Each process has its own data folder and database; the tests of a file stay together.
TEST_PROCESSES ?= 2
AT_ONCE := $(PYTEST) -m "not faults" -n $(TEST_PROCESSES) --dist loadfile --no-loadscope-reorder
export AUDIOTAG_TEST_POSTGRES_URL ?= postgres://postgres@127.0.0.1:5432/postgres
export AUDIOTAG_TEST_REDIS_URL ?= redis://127.0.0.1:6379/9

.PHONY: help
help: ## List the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-8s %s\n", $$1, $$2}'

$(BIN)/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: https://www.python.org/downloads/" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/runtime.stamp: requirements.txt requirements-web.txt | $(BIN)/python
	@echo "installing what the program needs (once, about a minute and 2.3 GB) ..."
	$(PIP) -r requirements.txt
	@touch $@

$(VENV)/dev.stamp: requirements-dev.txt $(VENV)/runtime.stamp
	@echo "installing what tests and checks need ..."
	$(PIP) -r requirements-dev.txt
	@touch $@

.PHONY: setup
setup: $(VENV)/runtime.stamp ## Install what the program needs into .venv

.PHONY: run
run: $(VENV)/runtime.stamp ## Set up, create and train the demo, start everything; Ctrl-C stops it
	@exec $(BIN)/python manage.py run_audiotag --with-parent

.PHONY: test
test: $(VENV)/dev.stamp ## Run all tests on SQLite, then those with a database on PostgreSQL and Redis
	$(AT_ONCE)
	@if $(BIN)/python -m tests.servers; then \
		export AUDIOTAG_DATABASE_URL="$$AUDIOTAG_TEST_POSTGRES_URL"; set -x; \
		$(AT_ONCE) tests/labeling tests/workers tests/e2e; \
	elif [ "$${CI:-}" = true ]; then \
		echo "CI must not skip the tests on PostgreSQL and Redis" >&2; exit 1; \
	else \
		echo "SKIPPED: the tests on PostgreSQL and Redis (see above)"; \
	fi

.PHONY: check
check: $(VENV)/dev.stamp ## Check style, types, import contracts, migrations and deployment settings
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy .
	$(BIN)/lint-imports
	@export AUDIOTAG_DATA=$$(mktemp -d); trap 'rm -rf "$$AUDIOTAG_DATA"' EXIT; set -x; \
	$(BIN)/python manage.py makemigrations --check --dry-run; \
	AUDIOTAG_HTTPS=true AUDIOTAG_ALLOWED_HOSTS=audiotag.example \
	AUDIOTAG_TRUSTED_ORIGINS=https://audiotag.example \
		$(BIN)/python manage.py check --deploy --fail-level WARNING

.PHONY: faults
faults: $(VENV)/dev.stamp ## Kill workers and web servers at seeded moments; nothing may be lost
	$(PYTEST) -m faults -s tests/faults

.PHONY: bench
bench: $(VENV)/dev.stamp ## Run the benchmarks; figures are ratios within one run
	@for file in benchmarks/[a-z]*.py; do \
		module=$${file%.py}; echo "== $$module"; $(BIN)/python -m $${module//\//.}; done

STUDY ?= data/study
.PHONY: study
study: $(VENV)/runtime.stamp ## Run the study in the small: takes hours, can be stopped and resumed
	$(BIN)/python manage.py study_in_small --out $(STUDY) $(if $(PARTS),--parts $(PARTS))

.PHONY: clean
clean: ## Remove the environment and all caches; data/ is kept
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
