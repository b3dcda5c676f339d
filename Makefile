# `make demo` and `make test` start from nothing but Python 3.11 and do all the set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
RUN_READY := $(VENV)/.ready-to-run
DEV_READY := $(VENV)/.ready-to-develop
PEERS := .venv-peers
PEERS_READY := $(PEERS)/.ready
DEMO ?= demo

.PHONY: setup demo test lint docs bench clean

setup: $(DEV_READY)

# What the demo needs. Torch first: the pinned version has a CPU build, which brings no CUDA.
$(RUN_READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 2; }
	$(PYTHON) -m venv $(VENV)
	$(PIP) torch==2.13.0
	$(PIP) -e '.[train]'
	@touch $@

# What tests, style checks and the documentation need besides.
$(DEV_READY): $(RUN_READY)
	$(PIP) -e '.[dev]'
	@touch $@

demo: $(RUN_READY)
	$(BIN)/patchcore-dual demo --out $(DEMO)

# Two workers, each with one thread of every library: the images are small.
# With the servers that the station needs.
test: $(DEV_READY)
	OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 tests/services.sh \
	    $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(DEV_READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

# The documentation as a site in site/, which opens from the file system: site/index.html.
# Broken links and anchors fail the build, and so does a page that would load from the network.
docs: $(DEV_READY)
	$(BIN)/python docs/draw_layout.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@! grep -rnE '<(script|link|img|iframe)[^>]*(src|href)="?(https?:)?//' site --include='*.html'

# Speed and memory beside anomalib and faiss: make bench DATA=KOLEKTORSDD WEIGHTS=RESNET18 BENCH=...
bench: $(DEV_READY) $(PEERS_READY)
	PYTHONPATH=benchmarks $(BIN)/python -m performance --peers $(PEERS)/bin/python \
	    $(if $(DATA),--data '$(DATA)') $(if $(WEIGHTS),--weights '$(WEIGHTS)') $(BENCH)

# An environment of its own; torch first, so that no CUDA packages come with anomalib.
$(PEERS_READY): benchmarks/peers.txt constraints.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt torch==2.13.0
	$(PEERS)/bin/pip install --quiet --disable-pip-version-check -c constraints.txt \
	    -r benchmarks/peers.txt
	@touch $@

clean:
	rm -rf $(VENV) $(PEERS) $(DEMO) site
