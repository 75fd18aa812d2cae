# The front door. Everything is written inside this folder: .venv, .cache and the tools' own caches.

ifeq ($(origin PYTHON),undefined)
PYTHON := $(firstword $(foreach p,python3 python3.14 python3.13 python3.12 python3.11,\
            $(shell $(p) -c 'import sys; print("$(p)" if sys.version_info >= (3, 11) else "")' 2>/dev/null)))
endif
T ?= tests
BIN := .venv/bin
PIP := PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 $(BIN)/python -m pip install --quiet
UV_COMPILE := .cache/uv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
              --no-emit-index-url --no-emit-find-links --cache-dir .cache/uv/cache \
              --custom-compile-command "make lock  (uv pip compile --universal --generate-hashes)" pyproject.toml
# What measures a rate or a time runs alone, after the rest; 5: no test of that kind among those asked for.
pytest = $(BIN)/python -m pytest $(1) $(T) || test $$? -eq 5
export PATH := $(CURDIR)/.cache/bin:$(PATH)

.PHONY: help run test check bench bench-index chaos cluster outage archive dev servers lock clean
.DELETE_ON_ERROR:

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/runtime.stamp ## run the product on this machine
	$(BIN)/shipper demo

test: servers check ## install what tests need and run all of them; a subset: make test T=tests/contract
	$(call pytest,-n 4 --dist loadgroup --no-loadscope-reorder -m "not alone")
	$(call pytest,-m alone)

check: .venv/dev.stamp ## format, lint, types and import rules; seconds
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

bench: .venv/dev.stamp ## measure this machine
	$(BIN)/python -m tests.bench

bench-index: servers ## bytes and processor time per record in Elasticsearch; fewer than 1,000,000: make bench-index RECORDS=100000
	$(BIN)/python -m tests.bench.index --records $(or $(RECORDS),1000000)

chaos: servers ## kill, stop and starve the parts of a host and count every record; one fault: make chaos S=4
	$(BIN)/python -m tests.chaos $(S)

cluster: servers ## a cluster under faults for ten minutes, every line counted; another time: make cluster SECONDS=60
	SECONDS=$(or $(SECONDS),600) $(BIN)/python -m pytest -s -o faulthandler_timeout=0 tests/e2e/test_cluster.py

outage: servers ## Elasticsearch away for ten minutes under traffic, every record counted; another time: make outage SECONDS=60
	$(BIN)/python -m tests.bench.outage --seconds $(or $(SECONDS),600) $(if $(FOLDER),--folder $(FOLDER))

archive: .venv/runtime.stamp ## write build/shipper-VERSION.tar.gz, which Mesos fetches where there is no registry
	$(BIN)/shipper generate archive --out build

dev: .venv/dev.stamp ## make .venv with every developer tool

servers: .venv/dev.stamp ## get the real servers tests need into .cache
	$(BIN)/python -m tests.servers

lock: .venv/venv.stamp ## choose new versions: write both lock files again (add UP=--upgrade)
	test -x .cache/uv/bin/uv || { $(PYTHON) -m venv .cache/uv && .cache/uv/bin/python -m pip install --quiet uv; }
	$(UV_COMPILE) $(UP) --extra build --output-file requirements.lock
	$(UV_COMPILE) $(UP) --extra build --extra dev --constraint requirements.lock --output-file requirements-dev.lock

clean: ## remove all that make wrote
	rm -rf .venv .cache .shipper-demo build *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp says what is installed; the second call finds it and installs nothing.
.venv/venv.stamp:
	@test -n "$(PYTHON)" || { echo "error: Python 3.11 or newer is needed (make PYTHON=/path/to/python3.11)" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "error: $(PYTHON) is missing or older than Python 3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
	  { echo "error: $(PYTHON) has no venv module (Debian, Ubuntu: apt-get install python3-venv)" >&2; exit 1; }
	@echo "making .venv with $$($(PYTHON) -V)"
	@$(PYTHON) -m venv .venv && touch $@

.venv/runtime.stamp: .venv/venv.stamp requirements.lock pyproject.toml
	@echo "installing what shipper needs (requirements.lock)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable . && touch $@

.venv/dev.stamp: .venv/venv.stamp requirements-dev.lock pyproject.toml
	@echo "installing what tests and checks need (requirements-dev.lock)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --no-deps --no-build-isolation --editable . && touch $@ .venv/runtime.stamp
