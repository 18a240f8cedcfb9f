# `make help` lists the targets. A fresh machine needs make, a shell and Python 3.11 or newer.
#
# The virtual environment is .venv. Its stamp files say what is installed in it, so that a second call is instant.
# After a step that was interrupted, call make again: a stamp is only written by a step that succeeded.

SHELL := /bin/sh
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# 3.11 first: the locks are tested on it.
PYTHON ?= $(shell for name in python3.11 python3.12 python3.13 python3.14 python3; do \
	command -v $$name >/dev/null 2>&1 \
	&& $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { command -v $$name; break; }; done)
VENV := .venv
BIN := $(VENV)/bin
LOCK_VENV := .venv-lock
LOCK_TOOL := uv==0.13.9

# Twice quiet: errors only.
PIP_INSTALL := $(BIN)/python -m pip install --quiet --quiet --disable-pip-version-check --no-input --prefer-binary --no-compile
# pip would compile on one core; files of another Python inside a package do not compile, which is no error.
BYTECODE := $(BIN)/python -m compileall -q -j 0 $(VENV)/lib > /dev/null || true

DEMO ?=
PYTEST ?=
# A worker process a core; the tests of a file stay in one, because they share fixtures. PYTEST="-n 0" runs them here.
SHARED_OUT := -n auto --maxprocesses 4 --dist loadfile
BENCH ?=

##  make demo    install, then run the platform on the sample upstream, offline (DEMO="--datasets legi")
.PHONY: demo
demo: $(VENV)/.default
	$(BIN)/mediatech demo $(DEMO)

##  make test    install with the test tools, then lint and the tiers fast, services, pipeline, faults, browser
.PHONY: test
test: $(VENV)/.test
	@failed=; summary=; \
	for tier in lint fast services pipeline faults browser; do \
		printf '\n=== %s ===\n' "$$tier"; \
		started=$$(date +%s); \
		if $(MAKE) "test-$$tier"; then outcome=passed; else outcome=FAILED; failed=1; fi; \
		summary="$$summary$$tier: $$outcome in $$(($$(date +%s) - started)) s\n"; \
	done; \
	printf "\n=== tiers ===\n$$summary"; \
	test -z "$$failed"

.PHONY: test-lint test-fast test-services test-pipeline test-faults test-browser
test-lint: lint

##  make test-fast      unit and graph tests only (PYTEST="-k legi"); likewise test-services, test-pipeline, test-faults
##                      and test-browser (MEDIATECH_SCREENSHOTS=FOLDER keeps what the browser saw)
test-fast: $(VENV)/.test
	$(BIN)/python -m pytest $(SHARED_OUT) mediatech_assets_tests/unit mediatech_assets_tests/graph $(PYTEST)

test-services: $(VENV)/.test postgresql
	$(BIN)/python -m pytest $(SHARED_OUT) mediatech_assets_tests/services $(PYTEST)

test-pipeline: $(VENV)/.test redis
	$(BIN)/python -m pytest $(SHARED_OUT) mediatech_assets_tests/pipeline $(PYTEST)

test-faults: $(VENV)/.test
	$(BIN)/python -m pytest $(SHARED_OUT) mediatech_assets_tests/faults $(PYTEST)

test-browser: $(VENV)/.test chromium
	$(BIN)/python -m pytest $(SHARED_OUT) mediatech_assets_tests/browser $(PYTEST)

# Debian's own packages, for tests that start a browser or servers of their own; a server that runs is never touched.
# Without them, and without the right to install them, these tests are skipped and name the package; with CI=true they
# fail. $(1): what is there when the package is; $(2): packages.
define FROM_DEBIAN
	@if ! ls $(1) >/dev/null 2>&1 && command -v apt-get >/dev/null 2>&1 && [ "$$(id -u)" = 0 ]; then \
		echo "Installing Debian's $(2)"; \
		{ apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes --no-install-recommends \
			$(2) > /dev/null; } \
		|| echo "$(2) could not be installed: the tests that need it say what that means" >&2; fi
endef

.PHONY: chromium postgresql redis
chromium:
	$(call FROM_DEBIAN,/usr/bin/chromium,chromium fonts-dejavu-core)

postgresql:
	$(call FROM_DEBIAN,/usr/lib/postgresql/*/bin/initdb,postgresql)

redis:
	$(call FROM_DEBIAN,/usr/bin/redis-server,redis-server)

##  make soak    ten minutes of eight Dagster runs at once on PostgreSQL (in make test: a minute); SOAK_SECONDS=3600
SOAK_SECONDS ?= 600
.PHONY: soak
soak: $(VENV)/.test postgresql
	MEDIATECH_SOAK_SECONDS=$(SOAK_SECONDS) $(BIN)/python -m pytest -n 0 -s --timeout=$$(($(SOAK_SECONDS) + 900)) \
		mediatech_assets_tests/services/test_concurrent_runs.py $(PYTEST)

##  make lint    ruff (rules and format), pyright
.PHONY: lint
lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

##  make bench   tables of measured speeds; with BENCH="--mirror URL --small-mirror URL" also of retrieval
.PHONY: bench
bench: $(VENV)/.test
	$(BIN)/python -m benchmarks $(BENCH)

##  make lock    write requirements/*.txt and that of deploy/kubernetes again after a change in pyproject.toml
##               (UPGRADE=--upgrade: newest versions)
.PHONY: lock
lock: $(LOCK_VENV)/.ready
	$(COMPILE) --generate-hashes --output-file requirements/default.txt
	$(COMPILE) --extra sentence-transformers --extra celery --group test --constraint requirements/default.txt \
		--output-file requirements/test.txt
	{ printf '%s\n' $(TEST_LOCK_NOTE); cat requirements/test.txt; } > requirements/test.txt.new
	mv requirements/test.txt.new requirements/test.txt
	echo dagster-k8s | $(LOCK_VENV)/bin/uv pip compile - $(COMPILE_OPTIONS) --generate-hashes \
		--constraint requirements/default.txt $(NOT_THE_DEFAULT) --output-file deploy/kubernetes/requirements.txt
	{ printf '%s\n' $(KUBERNETES_LOCK_NOTE); sed '/^$$/,$$d' \
		deploy/kubernetes/requirements.txt; } > deploy/kubernetes/requirements.txt.new
	mv deploy/kubernetes/requirements.txt.new deploy/kubernetes/requirements.txt

COMPILE = $(LOCK_VENV)/bin/uv pip compile pyproject.toml --group build $(COMPILE_OPTIONS)
COMPILE_OPTIONS = --quiet --universal --python-version 3.11 --no-strip-extras --custom-compile-command 'make lock' \
	$(UPGRADE)
NOT_THE_DEFAULT = $$(sed -n 's/^\([a-z0-9._-]*\)[^ ]*==.*/--no-emit-package \1/p' requirements/default.txt)
TEST_LOCK_NOTE := \
	'\# The default install, the extras sentence-transformers and celery, and the test tools.' \
	'\# Without hashes: torch 2.13.0 is the CPU wheel of the find-links folder where pip knows one, else PyPI'"'"'s build,' \
	'\# and these are different files. The CUDA packages of the latter are left out: see [tool.uv] in pyproject.toml.'
KUBERNETES_LOCK_NOTE := \
	'\# What the image `kubernetes` needs beside requirements/default.txt: dagster-k8s of the same release as dagster.'

##  make clean   remove the virtual environment and what tools left (never the data in .mediatech)
.PHONY: clean
clean:
	rm -rf $(VENV) $(LOCK_VENV) .pytest_cache .ruff_cache .hypothesis build dist
	find mediatech_assets mediatech_assets_tests -name __pycache__ -type d -prune -exec rm -rf {} +

##  make help    this list
.PHONY: help
help:
	@sed -n 's/^##//p' $(firstword $(MAKEFILE_LIST))

# --- installing -------------------------------------------------------------------------------------------

$(VENV)/.created:
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python3.11 demo" >&2; \
		exit 1; fi
	"$(PYTHON)" -m venv $(VENV)
	@touch $@

$(VENV)/.default: $(VENV)/.created requirements/default.txt pyproject.toml
	@echo "Installing requirements/default.txt (a minute or two)"
	@$(PIP_INSTALL) --no-deps --require-hashes -r requirements/default.txt
	@$(PIP_INSTALL) --no-deps --no-build-isolation --editable .
	@$(BYTECODE)
	@touch $@

$(VENV)/.test: $(VENV)/.default requirements/test.txt
	@echo "Installing requirements/test.txt (a minute or two)"
	@$(PIP_INSTALL) -r requirements/test.txt
	@$(BYTECODE)
	@touch $@

$(LOCK_VENV)/.ready: Makefile
	@if [ -z "$(PYTHON)" ]; then echo "No Python 3.11 or newer was found: make PYTHON=… lock" >&2; exit 1; fi
	"$(PYTHON)" -m venv $(LOCK_VENV)
	$(LOCK_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(LOCK_TOOL)
	@touch $@
