# Everything people do with this repository. `make help` lists it.
SHELL := /bin/sh
OFFICE ?= example
# Where the offices are: export OFFICES, or name it at each call.
OFFICES ?= inventories
FLEET ?= yes
ARGS ?=
# For how long `make handouts` hands out, and what else contrib/hand_out.py takes.
MINUTES ?= 60
ROOM ?=
.DEFAULT_GOAL := help

# The newest Python that really runs: a version manager's shim may be there without a Python behind it.
PYTHON ?= $(shell for p in python3.14 python3.13 python3.12 python3.11 python3; do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && echo "$$p" && break; done)
BIN := .venv/bin
RUN := PATH="$(CURDIR)/$(BIN):$$PATH"
PLAY = @$(RUN) sh contrib/play.sh -i $(OFFICES)/$(OFFICE)

.PHONY: help
help: ## list the targets
	@sed -n -e 's/^#: \(.*\)/\n\1/p' -e 's/^\([a-z-]*\):.*## /  \1\t/p' Makefile | expand -t 14

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

#: An office (OFFICE=example; a client's OFFICE=acme, in the folder that OFFICES names; more for Ansible with ARGS="--limit desk-07")

.PHONY: office
office: .venv/runtime ## make the folder of a new office (ARGS="-e from=people.xlsx -e machines=list.txt")
	@$(RUN) sh contrib/play.sh playbooks/new_office.yml -e office=$(OFFICE) $(ARGS)

.PHONY: preview
preview: there .venv/runtime ## render what an office would get below build/preview/, contacting no machine
	$(PLAY) playbooks/preview_mail.yml $(ARGS)

.PHONY: check
check: there .venv/runtime ## what provision would change, in words; changes nothing
	$(PLAY) provision-mail.yml --check --diff $(ARGS)

.PHONY: provision
provision: there .venv/runtime ## provision an office
	$(PLAY) provision-mail.yml $(ARGS)

.PHONY: diagnose
diagnose: there .venv/runtime ## find out why somebody cannot send or receive; changes nothing
	$(PLAY) playbooks/diagnose_mail.yml $(ARGS)

.PHONY: handouts
handouts: there .venv/runtime ## write what people get, and hand iPhones their profile by a code in the room (MINUTES=0: only write)
	$(PLAY) playbooks/mobile_profiles.yml $(ARGS)
	@test "$(MINUTES)" = 0 || $(BIN)/python contrib/hand_out.py build/mobile/$(OFFICE) --minutes $(MINUTES) $(ROOM)

.PHONY: status
status: .venv/runtime ## how an office stood after the last run; contacts nobody
	@$(BIN)/python contrib/office.py build/office/$(OFFICE) status $(ARGS)

.PHONY: done
done: .venv/runtime ## remember that a phone is done (WHO=jane DEVICE=ios; ARGS=--undo takes it back)
	@$(BIN)/python contrib/office.py build/office/$(OFFICE) done "$(WHO)" "$(DEVICE)" $(ARGS)

.PHONY: there
there:
	@test -d "$(OFFICES)/$(OFFICE)" || { echo "There is no $(OFFICES)/$(OFFICE). A new office:" \
	"OFFICES=$(OFFICES) make office OFFICE=$(OFFICE)" >&2; exit 1; }

#: This project

# $(call part,2,unit fleet): says which part of `make test` begins, and does the targets, two at a time: most of them wait now and then.
define part
@echo; echo "make test, part $(1) of 2: $(2)"
@$(MAKE) --no-print-directory --jobs=2 $(2)
endef

.PHONY: test
test: $(if $(filter no,$(FLEET)),,packages) ## everything that proves this tree; FLEET=no leaves the containers out
	$(call part,1,lint judges)
	$(call part,2,unit $(if $(filter no,$(FLEET)),,fleet) newest)
	@test "$(FLEET)" != no || \
	echo "FLEET=no: the container scenarios were left out on purpose; no real server and no real mail program took part."

.PHONY: packages
packages: ## install the Debian packages of bindep.txt that are missing
	@sh tests/install_bindep.sh

.PHONY: lint
lint: .venv/dev ## ruff, mypy, yamllint, ansible-lint, shellcheck
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy plugins
	$(RUN) yamllint --strict .
	$(RUN) ansible-lint --config-file .config/ansible-lint.yml -q
	@if command -v shellcheck >/dev/null; then shellcheck .ci/run $$(git ls-files '*.sh'); \
	else echo "shellcheck is not here: shell scripts were not checked"; fi

.PHONY: unit
unit: .venv/dev ## unit, golden, contract, browser and integration tests, with the ansible-core of .venv
	$(RUN) pytest

# The .venv may have an old ansible-core because its Python is old. Where a newer Python is there, also one that is not on the
# PATH, the tests in which Ansible has a part are run again with it. Not those that only ask what a machine or a server does, and not those
# in which Ansible does what it does in others: test_office, test_screen and test_mail_files start every playbook and plugin.
ONCE = $(patsubst %,--ignore=tests/integration/test_%.py,authorities firewall_nft mail_files_faults mail_files_people \
	mail_probe mail_settings_people profile_site default_sender mac mobile office_folder one_round_trip report)
NEWER = $(shell for p in python3.14 python3.13 python3.12 $(wildcard $(HOME)/.pyenv/versions/3.1[2-9]*/bin/python3); do \
	"$$p" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 12))' >/dev/null 2>&1 && echo "$$p"; done | tail -n 1)

.PHONY: newest
newest: .venv/dev ## the tests of Ansible again, with the newest ansible-core that runs here
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 12))'; then echo "The newest ansible-core is the one in .venv."; \
	elif [ -z "$(NEWER)" ]; then echo "No Python 3.12 or later is here: nothing was tested with the newest ansible-core."; \
	else $(MAKE) --no-print-directory .venv-newest/dev && mkdir -p build && echo "newest: begins; what it says comes when it has ended" && \
	{ PATH="$(CURDIR)/.venv-newest/bin:$$PATH" pytest -q tests/integration $(ONCE) >build/newest.log 2>&1; state=$$?; \
	cat build/newest.log; exit $$state; }; fi

.PHONY: judges
judges: .venv/dev collection ## Ansible's own judges: ansible-test sanity with the oldest and newest core here, antsibull-docs, galaxy-importer
	@if $(BIN)/python -c 'import sys; sys.exit(sys.version_info >= (3, 12))' && [ -n "$(NEWER)" ]; \
	then $(MAKE) --no-print-directory .venv-newest/dev && newest=.venv-newest; fi; \
	tests/judges.sh "$$(ls -t build/msp-charter_mail-*.tar.gz | head -n 1)" .venv $$newest

.venv-newest/dev: requirements-dev.txt requirements.txt
	$(NEWER) -m venv .venv-newest
	.venv-newest/bin/python -m pip install --quiet -r requirements-dev.txt
	@touch $@

.PHONY: golden
golden: .venv/dev ## write the golden files anew; read the difference before you commit it
	$(RUN) GOLDEN_UPDATE=1 pytest -q tests/golden

.PHONY: fleet
fleet: .venv/dev ## the container scenarios: real servers, real mail programs, over SSH (JOBS=3 at a time)
	@sh tests/install_bindep.sh
	$(RUN) molecule/shared/scenarios.sh

.PHONY: bench
bench: packages .venv/dev ## measure; prints ratios taken side by side
	@$(BIN)/python -m pip install --quiet mitogen || echo "Mitogen cannot be installed here"
	@$(RUN) python -m tests.benchmark.bench_files
	@$(RUN) python -m tests.benchmark.bench_provision
	@$(RUN) python -m tests.benchmark.bench_probe
	@$(RUN) python -m tests.benchmark.bench_mobile

.PHONY: collection
collection: .venv/dev ## build the collection artefact into build/, of the files that git knows
	@rm -rf build/collection && mkdir -p build/collection
	@if test -e .git; then git ls-files -z | tar --null -T - -cf - | tar -xf - -C build/collection; fi
	@$(RUN) ansible-galaxy collection build --force --output-path build $$(test -e .git && echo build/collection)

.PHONY: clean
clean: ## remove what the targets made, but for the cache of images and what is remembered of offices
	rm -rf .venv .venv-newest .mypy_cache .ruff_cache .pytest_cache .hypothesis
	if [ -d build ]; then find build -mindepth 1 -maxdepth 1 ! -name office -exec rm -rf {} +; fi
