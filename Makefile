# Everything a newcomer needs: `make train` and `make test` install what they use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

PYTHON_FOLDERS := src tests benchmarks examples tools

# What the football engine is built with; Debian's names
FOOTBALL_PACKAGES := git cmake build-essential libgl1-mesa-dev libsdl2-dev libsdl2-image-dev \
	libsdl2-ttf-dev libsdl2-gfx-dev libboost-all-dev

.PHONY: train test test-quick test-paper test-full lint docs results football football-packages clean

train: $(STAMP)  ## Train OPSPO on SMAX 3m, evaluate it, and say where the results lie
	$(BIN)/opspo train --env smax/3m --algo opspo --total-steps 3600000 \
		--run-dir runs/3m --overwrite

test: $(STAMP)  ## Lint, check types, run every test
	$(MAKE) lint
	$(BIN)/python -m pytest --numprocesses 2 --dist worksteal --durations 10

test-quick: $(STAMP)  ## Two minutes: formulas, structure, settings, one training a schedule
	$(BIN)/python -m pytest -m 'quick and not full' --numprocesses 2 --dist worksteal

test-paper: $(STAMP)  ## Two iterations of OPSPO at the paper's settings, on each of its tasks
	$(BIN)/python -m pytest -m paper --durations 16

test-full: $(STAMP)  ## What `make test` leaves out: whole episodes, and further cases of the same
	$(BIN)/python -m pytest -m full --numprocesses 2 --durations 16

lint: $(STAMP)  ## Style, types, and every link and signature of the documentation
	$(BIN)/ruff check $(PYTHON_FOLDERS)
	$(BIN)/ruff format --check $(PYTHON_FOLDERS)
	$(BIN)/mypy
	$(MAKE) docs

results: $(STAMP)  ## Make the tables and figures of the docs again, from the records under results/
	$(BIN)/python -m tools.results

docs: $(STAMP)  ## Build the site into build/site; any warning fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

football: $(VENV)/.football  ## Build Google Research Football; some minutes

$(VENV)/.football: $(STAMP)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt psutil 'setuptools>=77' six wheel
	# its build starts `python3` and wants the one of the environment
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pip install --quiet --no-build-isolation \
		--constraint constraints.txt --editable '.[football]'
	touch $@

football-packages:  ## What the build needs, as root on Debian
	apt-get update --quiet
	apt-get install --quiet --yes --no-install-recommends $(FOOTBALL_PACKAGES)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build src/*.egg-info
