# `make demo` and `make test` set everything up by themselves: they need make and Python 3.11 or newer.
.DEFAULT_GOAL := help
.PHONY: help demo test test-all check format bench cmu17 dist clean setup

PY := .venv/bin/python
WORKERS ?= 2
READY := .venv/.installed

help: ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | awk -F'\t' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(READY) ## make .venv with everything in it (other targets do it when needed)

$(READY): pyproject.toml constraints.txt tools/setup.sh
	@tools/setup.sh $(READY)

demo: $(READY) ## lift the bundled clip, print its error, write the page, pictures and files into out/demo (CLIP=your video)
	@$(PY) -m poselift demo --out out/demo $(if $(CLIP),--clip '$(CLIP)')

test: check ## every check: style, types, then the tests but for the slow ones, WORKERS=2 at a time
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest -n $(WORKERS) --dist loadfile

test-all: $(READY) ## all tests
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(PY) -m pytest -m '' -n $(WORKERS) --dist loadfile

check: $(READY) ## style and types: ruff, ruff format, pyright
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m pyright

format: $(READY) ## put the sources into the house style
	@$(PY) -m ruff check --fix .
	@$(PY) -m ruff format .

bench: $(READY) ## speed and memory, as ratios measured in one run
	@set -e; for program in benchmarks/speed_*.py; do echo "== $$program"; $(PY) $$program; done

cmu17: $(READY) ## the accuracy table of the open benchmark (DATA=folder with cmu.npz and cmu_dance.npz)
	@$(PY) benchmarks/cmu17.py $(if $(DATA),--data $(DATA)) --out runs/cmu17

dist: $(READY) ## wheel and sdist into dist/
	@$(PY) -m pip wheel --quiet --no-deps --wheel-dir dist .

clean: ## remove .venv, caches and outputs
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis build dist out
