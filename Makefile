# `make demo` and `make test` do all their own set-up; `make help` lists the rest.
#
#   LLAMA_WHEELS=URL   take llama-cpp-python from a wheel index of its authors instead of
#                      compiling it, for example
#                      https://abetlen.github.io/llama-cpp-python/whl/cpu

SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LLAMA_WHEELS ?=

export PATH := $(CURDIR)/$(BIN):$(CURDIR)/.tools/bin:$(PATH)

.PHONY: help demo test lint format bench tools clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' Makefile

demo: $(READY) ## Build, push, remove, pull, verify and run the example model.
	@scripts/demo.sh

test: $(READY) tools ## Run all tests.
	$(BIN)/python -m pytest

lint: $(READY) ## Check style, types, imports and structure.
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo

format: $(READY) ## Put the code into the usual form.
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY) tools ## Measure building, transfers, the engine and the server (two hours, 12 GiB of disk).
	$(BIN)/python benchmarks/build.py
	$(BIN)/python benchmarks/startup.py
	$(BIN)/python benchmarks/transfer.py
	$(BIN)/python -m pip install -q xllamacpp  # llama-server, to compare with
	$(BIN)/python benchmarks/engine.py
	$(BIN)/python benchmarks/server.py

tools: ## Install the registries and clients that the tests talk to.
	@scripts/tools.sh

clean: ## Remove what these targets made.
	rm -rf $(VENV) .tools .demo

$(READY): pyproject.toml scripts/venv.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" LLAMA_WHEELS="$(LLAMA_WHEELS)" scripts/venv.sh
	@touch $@
