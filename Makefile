# `make help` lists the targets. CI calls exactly these.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
BIN := .venv/bin
# More for pytest: make test ARGS="-k lstm"
ARGS ?=

.PHONY: help setup demo test test-peers page matrix test-quality loggers captum kills fuzz check sanitize sanitize-threads docs bench format clean

help:  ## this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22

setup:  ## make .venv with all extras and the developer's tools; does nothing where it is up to date
	@$(PYTHON) tools/setup_venv.py dev

demo:  ## set up what is needed, train a model on English prose for a minute, score it, let it write
	@$(PYTHON) tools/setup_venv.py demo
	@$(BIN)/python tools/demo.py

test: setup  ## run every test, and every example in the documents
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal $(ARGS)

page: setup  ## the page's tests in a browser (chromium, node), where there is one: under a minute
	@OMP_NUM_THREADS=1 $(BIN)/python tools/page_tests.py $(ARGS)

test-peers: setup  ## two minutes: other libraries beside ours, their own tests with our layers, other BLAS
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m peers $(ARGS)

matrix: setup  ## a minute of the tests under other threads, BLAS kernels, locales, paths, hash seeds
	@$(BIN)/python tools/matrix.py

test-quality: setup  ## the figures that the examples promise, on the whole of their data: minutes each
	$(BIN)/python -m pytest -m quality --timeout 0 $(ARGS)

loggers: setup  ## the loggers with TensorBoard, MLflow and Weights & Biases, installed beside .venv
	@$(BIN)/python tools/beside.py loggers $(ARGS)

captum: setup  ## our layers with captum's attributions, installed beside .venv
	@$(BIN)/python tools/beside.py captum $(ARGS)

KILLS ?= 100
kills: setup  ## kill training of all six tasks with SIGKILL, 100 times (KILLS=), and compare the bytes at the end
	@folder=$$(mktemp -d); trap 'rm -rf "$$folder"' EXIT; \
	OMP_NUM_THREADS=1 PYTHONPATH=src:tests $(BIN)/python tests/train/kill_tasks.py "$$folder" $(KILLS)

FUZZ_SECONDS ?= 60
fuzz: setup  ## hunt for input that breaks a promise, FUZZ_SECONDS (60) a target; FUZZ_TARGETS names some
	@$(BIN)/python -c 'import atheris' 2>/dev/null || $(BIN)/python -m pip install --quiet --editable '.[fuzz]' || true
	@FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python tools/hunt.py

check: setup  ## format, lint, types, import rules: a few seconds
	$(BIN)/ruff format --check --quiet .
	$(BIN)/ruff check --quiet .
	$(BIN)/mypy --no-error-summary
	$(BIN)/python tools/make_cells_page.py --check
	$(BIN)/python tools/list_messages.py --check
	$(BIN)/python tools/make_options.py --check
	$(BIN)/python native/generate.py --check
	$(BIN)/python -m bench.page --check
	@report=$$($(BIN)/lint-imports --no-logo) || { echo "$$report"; exit 1; }

sanitize: setup  ## the kernels' tests under the address and undefined-behaviour sanitizers (gcc)
	$(BIN)/python tools/sanitize.py $(ARGS)

sanitize-threads: setup  ## a driver of the kernels' threads under the thread sanitizer (gcc): seconds
	$(BIN)/python tools/thread_sanitizer.py
	$(BIN)/python tools/thread_sanitizer_writing.py

docs: setup  ## run what README and docs/ show, compare what it prints, follow the links
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/project/test_documents.py $(ARGS)

bench:  ## set up the peers, measure against them: bench/results.json, docs/benchmarks.md
	@$(PYTHON) tools/setup_venv.py bench
	$(BIN)/python -m bench $(ARGS)

format: setup  ## rewrite the files the way `make check` wants them
	$(BIN)/ruff check --fix --quiet . || true
	$(BIN)/ruff format --quiet .

clean:  ## remove .venv and every cache; your runs/ stay
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests tools docs -name __pycache__ -type d -prune -exec rm -rf {} +
