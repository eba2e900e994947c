# The whole set-up: `make demo` runs the example, `make test` runs the tests.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
DEMO := examples/almanac
# Tests wait more than they compute: three side by side keep two cores busy. WORKERS=0 runs one after the other.
WORKERS ?= 3

.PHONY: demo test suites lint bench corpus lock clean

# The kit is copied into the environment, as an app's is: apps in sandboxes that hide the checkout find it there. As
# from an index, so without a mark of where it came from (PEP 610): verify takes what has one for the app's own.
$(VENV)/ready: pyproject.toml kit/pyproject.toml requirements/dev.lock $(shell find kit/src -name '*.py')
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	cd kit && $(CURDIR)/$(BIN)/python -m hatchling build -t wheel -d $(CURDIR)/$(VENV)/kit
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-index --force-reinstall --pre --find-links $(VENV)/kit fungible-kit
	touch $@

$(DEMO)/.venv/ready: $(DEMO)/requirements.lock $(VENV)/ready $(shell find kit -name '*.py')
	$(PYTHON) -m venv $(DEMO)/.venv
	$(DEMO)/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r $(DEMO)/requirements.lock
	cd kit && $(CURDIR)/$(BIN)/python -m hatchling build -t wheel -d $(CURDIR)/$(DEMO)/.venv/kit
	$(DEMO)/.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --no-index --force-reinstall --pre --find-links $(DEMO)/.venv/kit fungible-kit
	touch $@

demo: $(VENV)/ready $(DEMO)/.venv/ready
	PATH="$(CURDIR)/$(DEMO)/.venv/bin:$$PATH" $(BIN)/fungible start web=2 worker=1 clock=1 --app $(DEMO)

test: $(VENV)/ready
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup

# Django's and Flask's own tests of sessions, against the kit's: fetched, as their wheels have none.
suites: $(VENV)/ready
	$(BIN)/python -m tests.kit.sessions.suites

lint: $(VENV)/ready
	$(BIN)/ruff format --check src kit tests examples benchmarks
	$(BIN)/ruff check src kit tests examples benchmarks
	$(BIN)/mypy
	$(BIN)/python benchmarks/performance_page.py --check
	$(BIN)/python benchmarks/verify_page.py --check
	$(BIN)/python benchmarks/sessions_page.py --check
	$(BIN)/python benchmarks/check_page.py --check
	$(BIN)/python benchmarks/swarm_page.py --check

# What Fungible is measured beside: an environment of its own, as none of it is needed to run or to test.
benchmarks/.venv/ready: benchmarks/requirements.lock
	$(PYTHON) -m venv benchmarks/.venv
	benchmarks/.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r benchmarks/requirements.lock
	touch $@

# SCALE=0.2 is a look; the committed results are of 1, on a quiet machine.
SCALE ?= 1
bench: $(VENV)/ready benchmarks/.venv/ready
	for script in benchmarks/bench_*.py; do BENCH_SCALE=$(SCALE) $(BIN)/python $$script || exit 1; done
	$(BIN)/python benchmarks/compare_sessions.py

# CORPUS is a folder with corpus.json and judge.py: apps with known truth. Installs and runs them; takes long.
# RUN numbers the run: the page is made of all that are there. RUN=boot MODE=boot boots every process.
RUN ?= 1
MODE ?= auto
corpus: $(VENV)/ready
	$(PYTHON) $(CORPUS)/judge.py $(CORPUS) --no-masks --mode $(MODE) --out benchmarks/results/corpus-$(RUN).json \
	  --fungible "$(CURDIR)/$(BIN)/python $(CURDIR)/benchmarks/corpus_keep.py $(CURDIR)/benchmarks/results/corpus-$(RUN)" || true
	$(BIN)/python benchmarks/corpus_table.py benchmarks/results/corpus-*.json > docs/corpus.md

lock: $(VENV)/ready
	$(BIN)/uv pip compile pyproject.toml --group dev --all-extras --generate-hashes --universal --no-header --no-emit-index-url --no-annotate -q -o requirements/dev.lock
	$(BIN)/uv pip compile pyproject.toml --all-extras --generate-hashes --universal --no-header --no-emit-index-url --no-annotate -q -o requirements/runtime.lock
	$(BIN)/uv pip compile benchmarks/requirements.in --generate-hashes --universal --python-version 3.11 --no-header --no-emit-index-url --no-annotate -q -o benchmarks/requirements.lock

clean:
	rm -rf $(VENV) $(DEMO)/.venv benchmarks/.venv .pytest_cache .mypy_cache .ruff_cache
