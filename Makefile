# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3.11
BIN := .venv/bin
PIP := $(BIN)/pip install --quiet -c constraints.txt

.PHONY: demo test test-slow lint bench clean

.venv/base: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/test: .venv/base
	$(PIP) --editable '.[train,test]'
	touch $@

demo: .venv/base
	$(BIN)/certgen demo

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

test: .venv/test lint
	$(BIN)/python -m pytest

test-slow: .venv/test
	$(BIN)/python -m pytest -m slow

clean:
	rm -rf .venv build dist out *.egg-info check-cert.pyz
