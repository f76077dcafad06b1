# The project's commands. Needs Python >= 3.11 and make; everything else is installed into this checkout.
PYTHON ?= python3
TOOLS  := .tools
VENV   := .venv
UV     := $(TOOLS)/bin/uv
RUN    := $(VENV)/bin
UV_VERSION := 0.13.8
export UV_CACHE_DIR ?= $(CURDIR)/$(TOOLS)/cache
export UV_PYTHON_DOWNLOADS := never

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-long check format bench lock clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.ready  ## Install everything the project needs into this checkout

$(UV):
	@echo "setup: installing uv $(UV_VERSION) into $(TOOLS)/" >&2
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "tokenone needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	@$(PYTHON) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m ensurepip --user >/dev/null
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --require-hashes --no-deps --only-binary :all: --target $(TOOLS) --upgrade -r uv.requirements.lock

$(VENV)/.ready: $(UV) requirements.lock pyproject.toml
	@echo "setup: installing the locked packages into $(VENV)/" >&2
	@$(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV)
	@$(UV) pip sync --quiet --compile-bytecode --python $(RUN)/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python $(RUN)/python --no-deps --no-build-isolation --editable .
	@touch $@

demo: setup  ## A governed call end to end on this machine (ONCE=1: end after it)
	@$(RUN)/tokenone demo $(if $(ONCE),--once)

serve: setup  ## Start gateway and console (initialises ./tokenone-data at first)
	@$(RUN)/tokenone serve --init

test: setup check-quiet  ## All laws, under 15 minutes
	@$(RUN)/python -m pytest -m "not long" $(ARGS)

test-long: setup  ## The long campaigns too
	@$(RUN)/python -m pytest --timeout 7200 $(ARGS)

.PHONY: check-quiet
check-quiet: setup
	@$(RUN)/lint-imports --no-cache >/dev/null || { $(RUN)/lint-imports --no-cache; exit 1; }

check: setup  ## ruff, mypy strict, floors, size limits
	@$(RUN)/ruff check .
	@$(RUN)/ruff format --check .
	@$(RUN)/mypy
	@$(RUN)/lint-imports --no-cache
	@$(RUN)/python tools/sizes.py

format: setup  ## Format the code
	@$(RUN)/ruff check --fix --quiet . ; $(RUN)/ruff format .

bench: setup  ## Measure; PEERS=1 runs LiteLLM and HAProxy or nginx beside it
	@$(RUN)/python -m benchmarks $(if $(PEERS),--peers) $(ARGS)

lock: $(UV)  ## Renew the locks; releases younger than 7 days are left to cool
	@$(UV) pip compile --quiet pyproject.toml --extra server --group dev --universal --python-version 3.11 \
	  --generate-hashes --exclude-newer "7 days" --no-emit-index-url --no-header --no-annotate --upgrade -o requirements.lock
	@echo "uv==$(UV_VERSION)" | $(UV) pip compile --quiet - --universal --python-version 3.11 \
	  --generate-hashes --exclude-newer "7 days" --no-emit-index-url --no-header --no-annotate -o uv.requirements.lock

clean:  ## Remove what setup and the tools made
	rm -rf $(TOOLS) $(VENV) .mypy_cache .ruff_cache .pytest_cache build dist
