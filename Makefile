# Two commands do all the set-up on a machine that has Python, make and a package registry:
#   make demo    the whole loop on embedded defaults (SIZE=smoke|quick|full)
#   make test    the tests
# A second start installs nothing.

SHELL := /bin/bash
.DEFAULT_GOAL := help
# Every path is relative to this folder, since make can't hold a name with blanks: from elsewhere, `make -C`.
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
	command -v $$p >/dev/null 2>&1 && $$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && { echo $$p; exit; }; done)
VENV := .venv
SEMGREP := .venv-semgrep
WAPITI := .venv-wapiti
BANDIT := .venv-bandit
PROCRASTINATE := .venv-procrastinate
OPENAPI := .venv-openapi
AXOLOTL := .venv-axolotl
LLAMAFACTORY := .venv-llamafactory
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
SIZE ?= quick
# Findings in code of others, which a demo's candidate is asked about; `smoke` trains too little to ask.
SUITES := .securetag/suites
AREA ?=
EXTRA ?=
# Processes of the test run. Many tests wait for processes of their own: one more than there are cores.
WORKERS ?= $(shell n=$$(nproc 2>/dev/null || echo 2); echo $$((n < 7 ? n + 1 : 8)))
# Every target starts many processes: without cached bytecode each would compile our modules anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo notebook test system lint up bench chaos ray wheels consumers clean install wapiti bandit procrastinate openapi chromium

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 20

install: $(VENV)/installed $(SEMGREP)/installed ## both environments, once

demo: install ## the closed loop, from upload to a gated model (SIZE=smoke|quick|full)
	@test "$(SIZE)" = smoke || $(BIN)/python -m benchmarks.real.suite $(SUITES)/real || true
	@if test "$(SIZE)" != smoke && test -f $(SUITES)/real/labels.csv; then \
		export SECURETAG_EXTERNAL_SUITES="$${SECURETAG_EXTERNAL_SUITES:-$(SUITES)}"; \
	fi; $(BIN)/securetag demo --size $(SIZE)

notebook: install ## the notebooks, executed on what the last demo left
	@$(BIN)/python tools/run_notebooks.py

wapiti: $(WAPITI)/installed ## the scanner of web applications, in an environment of its own

bandit: $(BANDIT)/installed ## a scanner for Python that writes SARIF, in an environment of its own

procrastinate: $(PROCRASTINATE)/installed ## the queue that `make bench AREA=queue` measures ours beside, in an environment of its own

openapi: $(OPENAPI)/installed ## a generator of clients from the OpenAPI document, in an environment of its own

# Debian's own, for the tests of the page; elsewhere those say that they were skipped, and why.
chromium:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || { \
		if command -v apt-get >/dev/null && test "$$(id -u)" = 0; then \
			echo "Installing Chromium …" \
				&& { { apt-get -qq update && apt-get -qq install -y --no-install-recommends chromium; } >/dev/null 2>&1 \
					|| echo "Chromium can't be installed: the page's tests in a browser are skipped" >&2; }; \
		else \
			echo "There is no Chromium: the page's tests in a browser are skipped (apt-get install chromium)" >&2; \
		fi; \
	}

test: install ## the tests
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadscope --no-loadscope-reorder

system: install wapiti bandit openapi chromium ## the tests of whole systems: deployments, kills, trainings, packages of others
	@$(BIN)/python -m pytest -q -n $(WORKERS) --dist loadscope -m "system and not (chaos or long)"

lint: install ## ruff, mypy, import-linter, structure, counts, deploy
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy \
		&& $(BIN)/lint-imports && $(BIN)/python tools/lint_structure.py && $(BIN)/python tools/lint_counts.py \
		&& $(BIN)/python tools/lint_deploy.py

up: install ## api, worker, model runtime and the Dagster UI until Ctrl-C
	@$(BIN)/securetag up

bench: install ## benchmarks (AREA=extractors for one)
	@$(BIN)/python -m benchmarks $(AREA)

chaos: install ## the long runs: faults, and full sizes
	@$(BIN)/python -m pytest -q -m "chaos or long"

ray: install ## a release built on a Ray cluster of two workers (installs the extra `ray`, 240 MB)
	@$(PIP) install -q -c constraints.txt --no-build-isolation -e '.[ray]'
	@$(BIN)/python -m pytest -q -m "" tests/pipeline/test_ray_cluster.py

wheels: install ## the wheel with each extra alone, in environments of its own (EXTRA=worker for one)
	@$(BIN)/python tools/check_wheels.py $(EXTRA)

consumers: install $(LLAMAFACTORY)/installed $(AXOLOTL)/installed ## LLaMA-Factory and Axolotl read an export (4.3 GB)
	@$(BIN)/python tools/check_consumers.py llamafactory $(LLAMAFACTORY)/bin/python
	@$(BIN)/python tools/check_consumers.py axolotl $(AXOLOTL)/bin/python

clean: ## all environments and everything the tools cached; never data/ or .securetag/
	rm -rf $(VENV) $(SEMGREP) $(WAPITI) $(BANDIT) $(PROCRASTINATE) $(OPENAPI) $(AXOLOTL) $(LLAMAFACTORY) .pytest_cache .mypy_cache .ruff_cache .hypothesis build *.egg-info

# torch first and alone: with it in place no other package can pull another build. pip decides which
# build that is; where there is no GPU, point its own settings (PIP_FIND_LINKS, PIP_EXTRA_INDEX_URL)
# at a CPU build to save gigabytes. At every editable install setuptools warns that folders may
# shadow packages: that tells a newcomer nothing.
$(VENV)/installed: pyproject.toml constraints.txt requirements-data.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }
	@echo "Installing into .venv (about four minutes, 2.6 GB) …"
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install -q "pip==$(shell sed -n 's/^pip==//p' constraints.txt)"
	@$(PIP) install -q -c constraints.txt torch
	@$(PIP) install -q -c constraints.txt setuptools
	@PYTHONWARNINGS=ignore::UserWarning $(PIP) install -q -c constraints.txt --no-build-isolation -e '.[all,notebook,dev]'
	@$(PIP) install -q --no-deps -r requirements-data.txt
	@touch $@

$(SEMGREP)/installed: constraints-semgrep.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }
	@echo "Installing Semgrep into .venv-semgrep …"
	@$(PYTHON) -m venv $(SEMGREP)
	@$(SEMGREP)/bin/python -m pip --disable-pip-version-check install -q -c constraints-semgrep.txt semgrep
	@touch $@

$(BANDIT)/installed: constraints-bandit.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }
	@echo "Installing Bandit into .venv-bandit …"
	@$(PYTHON) -m venv $(BANDIT)
	@$(BANDIT)/bin/python -m pip --disable-pip-version-check install -q -c constraints-bandit.txt 'bandit[sarif]'
	@touch $@

$(PROCRASTINATE)/installed: constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }
	@$(PYTHON) -m venv $(PROCRASTINATE)
	@$(PROCRASTINATE)/bin/python -m pip --disable-pip-version-check install -q procrastinate==3.10.0 \
		"psycopg[binary,pool]==$(shell sed -n 's/^psycopg==//p' constraints.txt)"
	@touch $@

$(OPENAPI)/installed: constraints-openapi.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }
	@echo "Installing openapi-python-client into .venv-openapi …"
	@$(PYTHON) -m venv $(OPENAPI)
	@$(OPENAPI)/bin/python -m pip --disable-pip-version-check install -q -c constraints-openapi.txt openapi-python-client
	@touch $@

# Wapiti 3.2 needs Python 3.12 or older; with a newer one alone, its tests are skipped and say so.
$(WAPITI)/installed: constraints-wapiti.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }
	@if $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 13))'; then \
		echo "Wapiti is left out: it needs Python 3.11 or 3.12 (PYTHON=…)" >&2; \
	else \
		echo "Installing Wapiti into .venv-wapiti …" \
			&& $(PYTHON) -m venv $(WAPITI) \
			&& $(WAPITI)/bin/python -m pip --disable-pip-version-check install -q -c constraints-wapiti.txt wapiti3 \
			&& touch $@; \
	fi

# Its loader alone, beside the packages of the project: it asks for older ones, which reading rows doesn't need.
$(LLAMAFACTORY)/installed: $(VENV)/installed
	@$(PYTHON) -m venv $(LLAMAFACTORY)
	@$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" \
		> "$$($(LLAMAFACTORY)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/project.pth"
	@$(LLAMAFACTORY)/bin/python -m pip --disable-pip-version-check install -q --no-deps \
		llamafactory==0.9.5 omegaconf==2.4.0 antlr4-python3-runtime==4.9.3
	@touch $@

$(AXOLOTL)/installed: constraints.txt
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer is needed: install it, or name it with PYTHON=…" >&2; exit 1; }
	@echo "Installing Axolotl into .venv-axolotl …"
	@$(PYTHON) -m venv $(AXOLOTL)
	@$(AXOLOTL)/bin/python -m pip --disable-pip-version-check install -q "torch==$(shell sed -n 's/^torch==//p' constraints.txt)"
	@$(AXOLOTL)/bin/python -m pip --disable-pip-version-check install -q axolotl==0.19.0
	@touch $@
