# Everything happens in .venv; `make setup` is implied by the other targets.
PYTHON ?= python3
BIN := .venv/bin
TERRAFORM_EXTRA := $(shell command -v terraform >/dev/null 2>&1 || command -v tofu >/dev/null 2>&1 || echo ,terraform)

.PHONY: setup checkov demo rehearse chaos test lint types imports bench bench-planner bench-controller docs clean

setup: .venv/ready

.venv/ready: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/pip install --quiet torch==2.13.0
	$(BIN)/pip install --quiet --editable '.[local,dev$(TERRAFORM_EXTRA)]'
	touch $@

# In an environment of its own: it pins what other packages need newer.
checkov: .venv-checkov/ready

.venv-checkov/ready:
	$(PYTHON) -m venv .venv-checkov
	.venv-checkov/bin/pip install --quiet checkov==3.3.30
	touch $@

demo: setup
	scripts/demo.sh

rehearse: setup
	scripts/rehearse.sh

test: lint types imports
	$(BIN)/pytest -n 3 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: setup
	$(BIN)/mypy

imports: setup
	$(BIN)/lint-imports

N ?= 200
SEED ?= 1
chaos: setup
	$(BIN)/python scripts/chaos.py --runs $(N) --seed $(SEED)

bench: setup
	$(BIN)/python scripts/bench.py

bench-planner: setup
	for script in $(filter-out scripts/bench_controller.py,$(wildcard scripts/bench_*.py)); do $(BIN)/python $$script || exit 1; done

bench-controller: setup
	$(BIN)/python scripts/bench_controller.py

clean:
	rm -rf .venv .demo .mypy_cache .ruff_cache .pytest_cache dist
