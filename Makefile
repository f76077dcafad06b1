# The project's commands. Needs Python >= 3.11 and make; everything else is installed into this checkout.
PYTHON ?= python3
TOOLS  := .tools
VENV   := .venv
UV     := $(TOOLS)/bin/uv
RUN    := $(VENV)/bin
UV_VERSION := 0.13.8
export UV_CACHE_DIR ?= $(CURDIR)/$(TOOLS)/cache
export UV_PYTHON_DOWNLOADS := never
# An organisation's own authority is in the system's store, which pip and Python read, too.
export UV_SYSTEM_CERTS ?= true

.DEFAULT_GOAL := help
.PHONY: help setup demo serve test test-long check format bench lock clean

help:  ## Show this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 20

setup: $(VENV)/.ready  ## Install everything the project needs into this checkout

# uv comes by pip, with its hash; where this Python has no pip, from a throw-away environment that has.
$(UV): uv.requirements.lock
	@command -v $(PYTHON) >/dev/null || { echo "setup: there is no $(PYTHON) here; set PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "setup: Python 3.11 or newer is needed, this is %d.%d; set PYTHON=/path/to/python3.11" % sys.version_info[:2])'
	@echo "setup: installing uv $(UV_VERSION) into $(TOOLS)/" >&2
	@pip="$(PYTHON)"; $(PYTHON) -m pip --version >/dev/null 2>&1 || { pip=$(TOOLS)/seed/bin/python; \
	  $(PYTHON) -m venv $(TOOLS)/seed >/dev/null 2>&1 \
	  || { echo "setup: $(PYTHON) has neither pip nor ensurepip; install them (on Debian python3-venv) or set PYTHON" >&2; exit 1; }; }; \
	$$pip -m pip install --quiet --disable-pip-version-check --root-user-action=ignore --require-hashes --no-deps \
	  --only-binary :all: --target $(TOOLS) --upgrade -r uv.requirements.lock \
	|| { echo "setup: uv did not arrive; is a package index reachable? pip's settings count (PIP_INDEX_URL, PIP_CERT, HTTPS_PROXY)" >&2; exit 1; }
	@touch $@

# pip's index is used for the rest, too: UV_DEFAULT_INDEX, else PIP_INDEX_URL, else pip.conf, else the public one.
$(VENV)/.ready: $(UV) requirements.lock pyproject.toml
	@echo "setup: installing the locked packages into $(VENV)/ (about 600 MB on disk)" >&2
	@started=$$(date +%s); \
	index="$${UV_DEFAULT_INDEX:-$${PIP_INDEX_URL:-$$($(PYTHON) -m pip config get global.index-url 2>/dev/null || true)}}"; \
	if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi; \
	{ $(UV) venv --quiet --allow-existing --python $(PYTHON) $(VENV) \
	  && $(UV) pip sync --quiet --python $(RUN)/python --require-hashes requirements.lock \
	  && $(UV) pip install --quiet --python $(RUN)/python --no-deps --no-build-isolation --editable . ; } \
	|| { echo "setup: the packages did not arrive; is a package index reachable? (UV_DEFAULT_INDEX, SSL_CERT_FILE, HTTPS_PROXY)" >&2; exit 1; }; \
	echo "setup: done in $$(( $$(date +%s) - started )) s" >&2
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
	@$(RUN)/lint-imports --no-cache --no-logo >/dev/null || { $(RUN)/lint-imports --no-cache --no-logo; exit 1; }

check: setup  ## ruff, mypy strict, floors, size limits
	@echo "check 1/5: ruff finds no fault"; $(RUN)/ruff check .
	@echo "check 2/5: the code is formatted"; $(RUN)/ruff format --check .
	@echo "check 3/5: mypy, strict"; $(RUN)/mypy
	@echo "check 4/5: imports go down only"; $(RUN)/lint-imports --no-cache --no-logo
	@echo "check 5/5: modules and functions are short"; $(RUN)/python tools/sizes.py
	@echo "check: all five hold"

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
