# Everything a newcomer needs: `make train` and `make test` install what they use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: train test lint clean

train: $(STAMP)  ## Train OPSPO on SMAX 3m, evaluate it, and say where the results lie
	$(BIN)/opspo train --env smax/3m --algo opspo --total-steps 3600000 \
		--run-dir runs/3m --overwrite

test: $(STAMP)  ## Lint, check types, run every test
	$(MAKE) lint
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --durations 10

lint: $(STAMP)
	$(BIN)/ruff check src tests
	$(BIN)/ruff format --check src tests
	$(BIN)/mypy

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build src/*.egg-info
