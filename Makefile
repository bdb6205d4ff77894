# Two commands need nothing else done before: `make run` tries the appliance, `make test` runs every test.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help run demo test check format docs clean

help:
	@echo "make run     set everything up in this folder and start the appliance (Ctrl-C stops it)"
	@echo "make demo    the same with an invented school, to look at; kept in var/demo"
	@echo "make test    set everything up and run all tests, in a real browser too"
	@echo "make check   formatting, lint and types"
	@echo "make docs    write the reference pages and the JSON Schema again"
	@echo "make clean   remove .venv and what the trial kept in var"

run: $(VENV)/.run
	@exec $(BIN)/appliance trial

demo: $(VENV)/.run
	@exec $(BIN)/appliance demo

test: $(VENV)/.test
	@sh .ci/debian-packages bible-kjv chromium dnsutils iproute2 systemd
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

check: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

docs: $(VENV)/.test
	$(BIN)/appliance config schema > etc/appliance.schema.json
	$(BIN)/python -m docs.build

clean:
	rm -rf $(VENV) var

$(VENV)/.run: pyproject.toml .ci/venv
	@sh .ci/venv "$(PYTHON)" "$(VENV)" .
	@touch $@

$(VENV)/.test: pyproject.toml .ci/venv
	@sh .ci/venv "$(PYTHON)" "$(VENV)" ".[test,dev]"
	@touch $@ $(VENV)/.run
