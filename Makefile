# UMS. `make demo` shows it, `make run` runs it, `make help` lists the rest.
.DEFAULT_GOAL := help
VENV ?= .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check install --quiet --prefer-binary --require-hashes
RUN_STAMP := $(VENV)/.run.stamp
DEV_STAMP := $(VENV)/.dev.stamp
BENCH_VENV ?= .venv-bench
BENCH_STAMP := $(BENCH_VENV)/.bench.stamp
TEST_VAR := $(CURDIR)/var/test
ONLY ?=
ARGS ?=
PEOPLE ?= 200000

.PHONY: help demo run venv dev test peers check fix chaos rehearsal bench messages lock clean

help: ## This list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: venv ## Everything with simulated providers and example data, in the browser (ONESHOT=1: run once, report, end)
	@$(PY) manage.py demo $(ARGS)

run: venv ## UMS on this machine until Ctrl-C (ARGS="--port 9000 --workers bulk=2")
	@$(PY) manage.py up $(ARGS)

venv: $(RUN_STAMP) ## The Python environment (once)

dev: $(DEV_STAMP) ## The environment with the tools for checks and tests (once)

$(RUN_STAMP): requirements.txt deploy/make-venv.sh
	@sh deploy/make-venv.sh $(VENV)
	@echo "Installing what UMS runs on"
	@$(PIP) -r requirements.txt
	@touch $@

$(DEV_STAMP): requirements-dev.txt $(RUN_STAMP)
	@echo "Installing the tools for checks and tests"
	@$(PIP) -r requirements-dev.txt
	@touch $@

$(BENCH_STAMP): requirements-bench.txt deploy/make-venv.sh
	@sh deploy/make-venv.sh $(BENCH_VENV)
	@echo "Installing the peers that the bench compares with"
	@$(BENCH_VENV)/bin/python -m pip --disable-pip-version-check install --quiet --prefer-binary --require-hashes -r requirements-bench.txt
	@touch $@

test: dev peers ## All tests (ARGS="tests/unit -k pieces")
	@UMS_VAR=$(TEST_VAR) $(PY) manage.py messages
	@UMS_VAR=$(TEST_VAR) $(PY) manage.py servers exec -- $(VENV)/bin/pytest -n 3 --dist loadfile --no-loadscope-reorder $(ARGS)

peers: # an independent SMPP server for the tests; without node they say that they are skipped
	@if command -v npm >/dev/null && [ ! -d tests/peers/node_modules ]; then \
	  npm ci --prefix tests/peers --ignore-scripts --loglevel=error; fi

check: dev ## Format, lint, types, imports, migrations, deployment, translations
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	PYTHONPATH=. $(VENV)/bin/lint-imports
	UMS_VAR=$(TEST_VAR) $(PY) manage.py servers exec -- $(PY) manage.py makemigrations --check --dry-run
	UMS_VAR=$(TEST_VAR) UMS_HTTPS=true $(PY) manage.py check --deploy --fail-level WARNING
	UMS_VAR=$(TEST_VAR) $(PY) manage.py messages --check

fix: dev ## Format, and mend what the linter can
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

chaos: dev ## Kill things while messages are sent, then prove that none was lost or doubled (ONLY=F1,F8)
	@ONLY="$(ONLY)" $(PY) -m tests.chaos $(ARGS)

rehearsal: dev ## One great campaign with every rule on, its workers killed twice, and its account (PEOPLE=200000)
	@PEOPLE="$(PEOPLE)" $(PY) -m tests.rehearsal

bench: dev $(BENCH_STAMP) ## Measured speed: limits, peers, ours (ONLY=dispatch_http)
	@ONLY="$(ONLY)" BENCH_PYTHON=$(BENCH_VENV)/bin/python $(PY) -m bench $(ARGS)

messages: dev ## Collect new texts into locale/ and compile
	$(PY) manage.py messages --collect

lock: dev ## Pin requirements*.in with hashes
	@for name in requirements requirements-dev requirements-bench; do \
	  CUSTOM_COMPILE_COMMAND="make lock" $(VENV)/bin/pip-compile -q --generate-hashes --strip-extras --allow-unsafe \
	    --no-emit-options $(ARGS) -o $$name.txt $$name.in || exit 1; done

clean: ## Remove the environments (data under var/ stay)
	rm -rf $(VENV) $(BENCH_VENV)
