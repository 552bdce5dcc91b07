# Tollway. `make` lists the targets; each sets up what it needs. Only Python 3.11 or newer is asked for.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
# Containers often set this. Here the same modules are loaded by hundreds of processes, most of whose time is compiling.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
BENCH ?= ../shared/bench
BENCH_ARGS ?= quick -g nginx,aio-app,tollway -n 5
PYTEST_ARGS ?=
WORKERS ?= 2
SECONDS ?= 300
TARGET ?=
RUN ?=

BIN := .venv/bin
STAMP := .venv/.installed
UV_LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --all-extras --group dev --generate-hashes \
	--only-binary :all: --no-emit-index-url --no-emit-find-links --custom-compile-command "make lock" -o requirements.lock pyproject.toml

.PHONY: help setup run test check fmt lint types gen unit bench test-vllm test-browser fuzz soak chaos lock upgrade clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## install everything into .venv (does nothing when the lock has not changed)
	@PYTHON="$(PYTHON)" bash deploy/setup.sh

run: setup ## start the whole gateway on this machine; CONFIG=file.yaml applies a configuration
	@exec $(BIN)/tollway up $(if $(CONFIG),--config "$(CONFIG)")

test: setup ## run the whole test suite on real Postgres, Valkey, gRPC and HTTP
	@$(BIN)/python tests/run.py $(PYTEST_ARGS)

unit: setup ## run the unit and house tests only
	@$(BIN)/python -m pytest -q -n $(WORKERS) tests/unit tests/house $(PYTEST_ARGS)

check: gen fmt lint types unit ## what a change must pass before review; leaves the tree as it found it, or fails
	@git diff --quiet || { echo "check: gen or fmt changed files, or there are changes not yet committed:"; git status --short; exit 1; }

fmt: setup ## format the code
	@$(BIN)/ruff check --quiet --fix-only .
	@$(BIN)/ruff format --quiet .

lint: setup ## ruff, the import contracts and the house rules
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/python -m pytest -q -n $(WORKERS) tests/house

types: setup ## mypy in strict mode, tests too
	@$(BIN)/mypy
	@$(BIN)/mypy tests --exclude 'tests/vllm/(prepare_model|embed).py'

gen: setup ## generate the code of the contract (proto/)
	@$(BIN)/python proto/generate.py

bench: setup ## compare CPU per request with bare proxies; BENCH=folder of the harness
	@test -x "$(BENCH)/run" || { echo "make bench needs the comparison harness at $(BENCH) (set BENCH=folder); see docs/reference/performance.md" >&2; exit 2; }
	@BENCH_GATEWAYS=tests/perf/gateways.py TOLLWAY_ROOT="$(CURDIR)" "$(BENCH)/run" $(BENCH_ARGS)

test-vllm: setup ## official clients through the gateway against a real vLLM on CPU (gigabytes, minutes)
	@PYTHON="$(PYTHON)" bash tests/vllm/setup.sh
	@$(BIN)/python -m pytest -q -p no:randomly -m vllm tests/vllm $(PYTEST_ARGS)

test-browser: setup ## the portal in a real Chromium, with axe; pictures in .cache/browser (apt, hundreds of megabytes)
	@bash tests/browser/setup.sh
	@$(BIN)/python -m pytest -q -p no:randomly -m browser tests/browser $(PYTEST_ARGS)

chaos: setup ## kill processes under load for a few minutes
	@# In their order: those with most tests first would leave the longest for the end.
	@$(BIN)/python -m pytest -q -p no:randomly -m chaos -n 2 --dist loadfile --no-loadscope-reorder tests $(PYTEST_ARGS)

fuzz: setup ## fuzz every parser for minutes; SECONDS=300 each, TARGET=name for one
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --group fuzz
	@$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS) $(TARGET)

soak: setup ## the long runs, half a day in all; RUN=name for one (RUN=list names them)
	@$(if $(filter fuzz,$(or $(RUN),fuzz)),$(BIN)/uv pip install --quiet --python $(BIN)/python --group fuzz)
	@$(BIN)/python tests/soak.py $(if $(filter list,$(RUN)),--list,$(if $(RUN),--run $(RUN))) $(PYTEST_ARGS)

lock: setup ## bring requirements.lock in step with pyproject.toml
	@$(UV_LOCK)

upgrade: setup ## newest versions of everything into requirements.lock
	@$(UV_LOCK) --upgrade

clean: ## remove what the other targets made, but no data (.tollway)
	@rm -rf .venv .venv-vllm .cache dist build .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
