# Two commands do everything: `make demo` and `make test`. Both set up first; a second call is quick.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PY_ROOMS := $(wildcard python tests benches fuzz)
RUST_SOURCES := $(shell find src -name '*.rs' 2>/dev/null) Cargo.toml Cargo.lock

.PHONY: demo test test-ipfs check unit fuzz setup dev-setup contracts clean

demo: setup
	$(BIN)/fedproof demo

test: dev-setup check unit

setup: $(VENV)/.installed

dev-setup: $(VENV)/.dev node_modules/.installed

check: dev-setup
	$(BIN)/ruff format --check $(PY_ROOMS)
	$(BIN)/ruff check $(PY_ROOMS)
	$(BIN)/mypy
	cargo fmt --check
	cargo clippy --release --all-targets -- -D warnings

unit: dev-setup
	cargo test --release --no-default-features
	$(BIN)/pytest -n 3 --dist loadgroup

# Builds a real IPFS node from Go modules first, which takes minutes; after that `make test` uses it, too.
test-ipfs: dev-setup
	FEDPROOF_BUILD_IPFS=1 $(BIN)/pytest tests/storage/test_ipfs_real.py

# Half of the time for what is written in Python, half for the core, which is built for it first (some minutes).
SECONDS ?= 600
SEED ?= 1
fuzz: dev-setup
	$(BIN)/python -m fuzz.core --seconds $$(($(SECONDS) / 2)) --seed $(SEED)
	$(BIN)/python -m fuzz.run --together --seconds $$(($(SECONDS) / 2)) --seed $(SEED)

# The artifacts are committed, so that only who changes a contract needs this.
contracts: node_modules/.installed
	node contracts/compile.mjs

$(VENV)/bin/python:
	@command -v $(PYTHON) >/dev/null || { echo "fedproof needs Python 3.11 or newer: set PYTHON=/path/to/python3"; exit 1; }
	@command -v cargo >/dev/null || { echo "fedproof needs a Rust toolchain (cargo): install rustup first"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt $(RUST_SOURCES)
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(VENV)/.installed
	$(BIN)/pip install -q --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

node_modules/.installed: package.json package-lock.json
	npm ci --loglevel=error --no-audit --no-fund
	@touch $@

clean:
	rm -rf $(VENV) target node_modules
