# Everything people do with this repository. `make help` lists it.
SHELL := /bin/sh
OFFICE ?= example
FLEET ?= yes
ARGS ?=
.DEFAULT_GOAL := help

# The newest Python that really runs: a version manager's shim may be there without a Python behind it.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"

.PHONY: help
help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | sort | expand -t 14

.venv/bin/python:
	@test -n "$(PYTHON)" || { echo "Python 3.11 or later with venv is missing (Debian: apt-get install python3-venv)" >&2; exit 1; }
	$(PYTHON) -m venv .venv

# ansible.cfg may be ignored where the folder is world-writable, so it is named.
export ANSIBLE_CONFIG := $(CURDIR)/ansible.cfg

.venv/runtime: requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements.txt
	@touch $@

.venv/dev: requirements-dev.txt requirements.txt | .venv/bin/python
	$(BIN)/python -m pip install --quiet -r requirements-dev.txt
	@touch $@ .venv/runtime

.PHONY: provision
provision: .venv/runtime ## provision an office (OFFICE=example; ARGS="--check --diff")
	$(RUN) ansible-playbook -i inventories/$(OFFICE) provision-mail.yml $(ARGS)

.PHONY: preview
preview: .venv/runtime ## render what an office would get below build/preview/, contacting no machine
	$(RUN) ansible-playbook -i inventories/$(OFFICE) playbooks/preview_mail.yml $(ARGS)

.PHONY: test
test: lint check ## everything that proves this tree; FLEET=no leaves the containers out
	@if [ "$(FLEET)" = no ]; then echo "FLEET=no: the container scenarios were left out on purpose; nothing was proved on real machines"; \
	else $(MAKE) --no-print-directory fleet; fi

.PHONY: lint
lint: .venv/dev ## ansible-lint, yamllint, ruff, mypy, shellcheck
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy plugins
	$(RUN) yamllint --strict .
	$(RUN) ansible-lint --config-file .config/ansible-lint.yml --quiet

.PHONY: check
check: .venv/dev ## unit, golden, contract and integration tests
	$(RUN) pytest

.PHONY: golden
golden: .venv/dev ## write the golden files anew; read the difference before you commit it
	$(RUN) GOLDEN_UPDATE=1 pytest -q tests/golden

.PHONY: fleet
fleet: .venv/dev ## the container scenarios: real servers, real mail programs, over SSH

.PHONY: bench
bench: .venv/dev ## measure; prints ratios taken side by side

.PHONY: collection
collection: .venv/dev ## build the collection artefact into build/
	$(RUN) ansible-galaxy collection build --force --output-path build

.PHONY: clean
clean: ## remove what the targets made, but for the cache of images
	rm -rf .venv build .mypy_cache .ruff_cache .pytest_cache .hypothesis
