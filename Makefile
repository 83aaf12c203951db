# Needs Python 3.10 or later and make, nothing else: everything below lives in .venv.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
STAMP = $(VENV)/.installed
WORKERS ?= 3

.PHONY: demo test again lint unit bench chaos chaos-short docs clean install

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

unit: $(STAMP)
	$(BIN)/python -m pytest -q tests/unit

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# About an hour of measuring on an otherwise quiet machine; each script works alone and has options, see --help.
bench: $(STAMP)
	$(BIN)/python benchmarks/catch_up.py
	$(BIN)/python benchmarks/catch_up.py --per-transaction 1000,1 --rows 50000 --cases insert,update,delete
	$(BIN)/python benchmarks/catch_up.py --peers londiste3,pglogical --rows 200000
	$(BIN)/python benchmarks/capture_cost.py
	$(BIN)/python benchmarks/latency.py
	$(BIN)/python benchmarks/footprint.py
	$(BIN)/python benchmarks/growth.py
	$(BIN)/python benchmarks/star.py

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
