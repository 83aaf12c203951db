# Needs Python 3.10 or later and make, nothing else: everything below lives in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
WORKERS ?= 3

.PHONY: demo test test-versions again lint unit bench bench-short chaos chaos-short docs clean install

install: $(STAMP)

$(STAMP): setup.cfg setup.py pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -e '.[embedded,test,lint]'
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/londiste_lite demo

test: $(STAMP) lint
	@rm -f .pytest_cache/ended
	$(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests || \
	    { code=$$?; echo $$code > .pytest_cache/ended; exit $$code; }

# The tests that failed in the last run, one after the other; not when they were many, and not after anything else.
again: $(STAMP) lint
	@grep -qx 1 .pytest_cache/ended
	@$(BIN)/python -c 'import json, sys; \
	    failed = json.load(open(".pytest_cache/v/cache/lastfailed")); \
	    print("failed among others, run again alone:", *failed, sep="\n  "); \
	    sys.exit(len(failed) > 3)'
	$(BIN)/python -m pytest -q --last-failed --last-failed-no-failures none tests

# All tests on all pairs of server versions.
test-versions: $(STAMP)
	LONDISTE_TEST_VERSIONS=all $(BIN)/python -m pytest -q -n $(WORKERS) --dist worksteal tests

unit: $(STAMP)
	$(BIN)/python -m pytest -q tests/unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Long measuring on an otherwise quiet machine; each script works alone and has options, see --help.
# Each prints its table and keeps the figures in FIGURES.
FIGURES = build/figures
bench: $(STAMP)
	mkdir -p $(FIGURES)
	$(BIN)/python benchmarks/catch_up.py --json $(FIGURES)/catch_up.json
	$(BIN)/python benchmarks/catch_up.py --per-transaction 1000 --json $(FIGURES)/transactions.json
	$(BIN)/python benchmarks/catch_up.py --per-transaction 1 --rows 50000 --cases insert,update,delete --json $(FIGURES)/single_rows.json
	$(BIN)/python benchmarks/catch_up.py --peers londiste3,pglogical --rows 200000 --cases insert,update,delete --json $(FIGURES)/catch_up_15.json
	$(BIN)/python benchmarks/capture_cost.py --json $(FIGURES)/capture.json
	$(BIN)/python benchmarks/capture_cost.py --version 15 --json $(FIGURES)/capture_15.json
	$(BIN)/python benchmarks/latency.py --json $(FIGURES)/latency.json
	$(BIN)/python benchmarks/footprint.py --json $(FIGURES)/footprint.json
	$(BIN)/python benchmarks/growth.py --json $(FIGURES)/growth.json
	$(BIN)/python benchmarks/star.py --json $(FIGURES)/star.json
	$(BIN)/python benchmarks/first_copy.py --json $(FIGURES)/first_copy.json
	$(BIN)/python benchmarks/first_copy.py --small 100 --json $(FIGURES)/first_copy_small.json

# The same tables with fewer rounds and rows.
SHORT = --rounds 3
bench-short: $(STAMP)
	$(BIN)/python benchmarks/catch_up.py $(SHORT) --rows 200000 --cases insert,update,delete
	$(BIN)/python benchmarks/catch_up.py $(SHORT) --rows 5000 --per-transaction 1000,1 --cases insert,update
	-$(BIN)/python benchmarks/catch_up.py $(SHORT) --rows 50000 --peers londiste3,pglogical --cases insert,update,delete
	$(BIN)/python benchmarks/capture_cost.py $(SHORT) --seconds 1 --clients 1,8 --cases insert,update
	-$(BIN)/python benchmarks/capture_cost.py $(SHORT) --seconds 1 --clients 1,8 --cases insert,update --version 15
	$(BIN)/python benchmarks/latency.py $(SHORT) --rates 100,1000 --seconds 5 --idle 5 --pause 2.5
	$(BIN)/python benchmarks/footprint.py --rounds 1 --rows 500000
	$(BIN)/python benchmarks/growth.py --rounds 1 --tables 1,64 --rows 10000,500000
	$(BIN)/python benchmarks/first_copy.py $(SHORT) --megabytes 100

# Long runs of disturbances; `python -m tests.chaos.run --minutes 30` runs one for as long as is wanted.
chaos: $(STAMP)
	$(BIN)/python -m pytest -q -m chaos tests

# A minute of them, for a continuous integration: under three minutes with all that is looked at in the end.
chaos-short: $(STAMP)
	$(BIN)/python -m tests.chaos.run --minutes 1

docs: $(STAMP)
	$(BIN)/python -m londiste_lite.manual

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
