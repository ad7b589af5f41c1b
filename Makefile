# make demo | make test need nothing but Python 3.11 or 3.12; the other targets are an Open edX repository's usual ones.

PYTHON ?= python3
VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
VENV ?= .venv/py$(VERSION)
BIN := $(VENV)/bin/
SPREAD = --numprocesses=auto --dist=worksteal
ON_MARIADB = tests/admin tests/deliveries tests/lernito tests/lms_tests tests/models tests/webfilters tests/test_*.py
UV_COMPILE = $(BIN)uv pip compile --universal --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header --quiet

export DJANGO_SETTINGS_MODULE := tests.lms.settings

.DEFAULT_GOAL := help
.PHONY: help demo test test-services quality validate requirements upgrade docs bench clean

help: ## Show the targets.
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "%-16s %s\n", $$1, $$2}'

demo: $(VENV)/.test ## Start the stand-in LMS with a live inbox; ONCE=1 does one pass and ends; PORT=n chooses the port.
	$(BIN)python -m tests.lms.demo

test: $(VENV)/.test ## Pass the tests.
	$(BIN)pytest $(SPREAD) $(ARGS)

test-services: $(VENV)/.services ## Pass the tests that need MariaDB, Redis and RabbitMQ on loopback.
	WEBHOOKS_REQUIRE_SERVICES=1 WEBHOOKS_TEST_DATABASE=mysql $(BIN)pytest -m services $(ARGS)
	WEBHOOKS_TEST_DATABASE=mysql $(BIN)pytest -m "not services" $(SPREAD) $(ON_MARIADB) $(ARGS)

quality: $(VENV)/.quality ## Check style, types, walls, migrations and PII annotations.
	$(BIN)ruff check .
	$(BIN)ruff format --check .
	$(BIN)mypy
	$(BIN)lint-imports
	$(BIN)python manage.py makemigrations --check --dry-run openedx_webhooks
	PYTHONPATH=.:tests/lms $(BIN)code_annotations django_find_annotations --config_file .pii_annotations.yml --lint --report --coverage

validate: test quality ## Everything that CI checks without services.

requirements: $(VENV)/.dev ## Install everything a developer wants.

upgrade: $(VENV)/.dev ## Compile requirements/*.txt anew.
	for name in base test services quality doc dev; do \
		$(UV_COMPILE) --upgrade requirements/$$name.in -o requirements/$$name.txt || exit 1; done

docs: $(VENV)/.doc ## Build the documentation; a warning is an error.
	$(BIN)sphinx-build -W -q -b html docs docs/_build/html

bench: $(VENV)/.bench ## Measure beside peers, as ratios within one run; ARGS="--only throughput" measures a part.
	$(BIN)python -m tests.benchmarks $(ARGS)

clean: ## Remove what the targets above made.
	rm -rf .venv .demo .tox build dist docs/_build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis

$(VENV)/bin/python:
	@case "$(VERSION)" in 3.11|3.12) ;; *) \
		echo "Python 3.11 or 3.12 is needed; $(PYTHON) is '$(VERSION)'. Try: make PYTHON=python3.12 ..." >&2; exit 1;; esac
	$(PYTHON) -m venv $(VENV)

$(VENV)/.%: requirements/%.txt setup.py requirements/base.in $(VENV)/bin/python
	@echo "Installing $< into $(VENV) ..."
	@$(BIN)pip install --quiet --disable-pip-version-check -r $<
	@$(BIN)pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e . || \
		$(BIN)pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $@
