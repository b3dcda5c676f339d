# `make demo` and `make test` start from nothing but Python 3.11 and do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
PEERS := .venv-peers
PEERS_INSTALLED := $(PEERS)/.installed
DEMO ?= demo

.PHONY: setup demo test lint bench clean

setup: $(INSTALLED)

$(INSTALLED): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: setup
	$(BIN)/patchcore-dual demo --out $(DEMO)

test: setup
	$(BIN)/python -m pytest

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# Speed and memory beside anomalib and faiss: make bench DATA=KOLEKTORSDD WEIGHTS=RESNET18 BENCH=...
bench: setup $(PEERS_INSTALLED)
	PYTHONPATH=benchmarks $(BIN)/python -m performance --peers $(PEERS)/bin/python \
	    $(if $(DATA),--data '$(DATA)') $(if $(WEIGHTS),--weights '$(WEIGHTS)') $(BENCH)

# An environment of its own; torch first, so that no CUDA packages come with anomalib.
$(PEERS_INSTALLED): benchmarks/peers.txt constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt \
	    -r benchmarks/peers.txt
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(DEMO)
