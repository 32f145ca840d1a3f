# `make` lists every task.
PY := .venv/bin/python
PYTEST_ARGS ?=
PARALLEL ?= --numprocesses auto --maxprocesses 4
UP_ARGS ?=
DOWN_ARGS ?=

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.venv/.complete: requirements.lock bootstrap.lock pyproject.toml
	@sh scripts/bootstrap

install: .venv/.complete ## everything Cygni needs, into .venv

up: install ## start Cygni, deploy examples/hello, say where everything is (UP_ARGS="--port 9000")
	@sh scripts/up $(UP_ARGS)

down: install ## stop Cygni; applications go on (DOWN_ARGS=--apps stops them too)
	@.venv/bin/cygnid down $(DOWN_ARGS)

lint: install ## style, types, import contracts
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/pyright
	.venv/bin/lint-imports

# as root the suite runs twice: as an ordinary user, then as root, whose result comes last
test: lint ## everything: lint, types, unit, contract, end to end
	[ "$$(id -u)" != 0 ] || $(PY) -m tests.as_user $(PARALLEL) $(PYTEST_ARGS)
	$(PY) -m pytest $(PARALLEL) $(PYTEST_ARGS)

check: lint ## what can be said in a minute: lint, types, and the tests that start no program of their own
	$(PY) -m pytest $(PARALLEL) server/tests/core server/tests/resources server/tests/rules $(PYTEST_ARGS)

fuzz: install ## ask the API by its own document for a quarter of an hour
	CYGNI_FUZZ_EXAMPLES=50 $(PY) -m pytest server/tests/e2e/test_fuzz.py $(PYTEST_ARGS)

docs: install ## what is made from the code: pages of docs/, openapi.json, the tables that the rules compare
	$(PY) scripts/docs.py
	.venv/bin/cygnid openapi > openapi.json
	cd server && ../$(PY) -m tests.rules.test_permissions && ../$(PY) -m tests.rules.test_flow
	cd sdk && ../$(PY) -m generator

sdk: install ## the SDKs' generated files and docs/reference, from openapi.json and sdk/behavior.json
	cd sdk && ../$(PY) -m generator

lock: install ## new versions into requirements.lock, hashes and no addresses
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --group dev \
	  --no-emit-package cygnid --no-emit-package cygni-cli --no-emit-package cygni --upgrade pyproject.toml -o requirements.lock

.PHONY: help install up down lint test check fuzz docs sdk lock
