# Two commands do everything on a fresh Debian machine: `make demo` and `make test`.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
RUN := $(VENV)/bin
SEEDS ?= 200
ARGS ?=

.DEFAULT_GOAL := help
.PHONY: help setup parts demo test check format bench simulate torture web lock clean

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

$(VENV)/.ready: requirements.lock pyproject.toml scripts/setup
	@scripts/setup "$(PYTHON)" "$(VENV)"

setup: $(VENV)/.ready ## the Python environment in .venv, exactly as locked

parts: ## the real parts that tests use (Docker, registry, PostgreSQL, HAProxy), when root
	@scripts/install-real-parts

demo: setup ## three applications on six agents: first deployment, canary, automatic return (ARGS=--once)
	@$(RUN)/boreas demo $(ARGS)

test: setup parts ## every test, the fast ones first
	@scripts/test

check: setup ## format, lint, types, import contracts
	$(RUN)/ruff format --check src tests bench torture
	$(RUN)/ruff check src tests bench torture
	$(RUN)/mypy
	$(RUN)/lint-imports

format: setup ## put the code into the house's format
	$(RUN)/ruff format src tests bench torture
	$(RUN)/ruff check --fix src tests bench torture

simulate: setup ## random projects, faults and people against the engine: make simulate SEEDS=10000
	@$(RUN)/python -m boreas.testing.simulate --seeds $(SEEDS) $(ARGS)

bench: setup ## the figures of docs/performance.md, one JSON line each
	@$(RUN)/python -m bench $(ARGS)

torture: setup parts ## kill, cut, fill, race: one JSON line per fault (ARGS="--only kill_server"); 20 minutes
	@$(RUN)/python -m torture $(ARGS)

web: ## the web pages are not part of Boreas yet; the HTTP API serves everything they will show
	@echo "There are no web pages yet: use the command line or the HTTP API (/openapi.json)."

lock: ## resolve the dependencies anew into requirements.lock
	@scripts/lock "$(PYTHON)"

clean: ## remove what the other targets made
	rm -rf $(VENV) .tools .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache dist
