# Every target sets up .venv by itself; nothing here is the only way to do a thing (see README.md).

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

# Candidates, best first: the first from 3.11 to 3.13 that can make a virtual environment is taken.
PYTHON ?= python3.13 python3.12 python3.11 python3
PORT ?= 8000
WORKERS ?= $(shell echo $$(( $$(getconf _NPROCESSORS_ONLN) + 1 )))

READY := .venv/.ready
USABLE := import ensurepip, sys, venv; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
NO_PYTHON := No Python 3.11, 3.12 or 3.13 with venv was found: install one (Debian and Ubuntu: \
	sudo apt-get install python3-venv), or name it: make PYTHON=/path/to/python3

.PHONY: help book test quick without-keras serve bench lint clean browser postgresql sandbox

help:
	@echo "make book        execute every chapter, check the thresholds, build the HTML book"
	@echo "make test        run all tests, the executed chapters among them"
	@echo "make quick       check code, and run the tests that need neither Keras nor another program"
	@echo "make serve       show the built book at http://127.0.0.1:$(PORT)/"
	@echo "make bench       measure the speeds that the course promises, and write the table"
	@echo "make lint        check code, notebooks and workflows"
	@echo "make clean       remove what was built (not .venv)"
	@echo "make browser     install the browser that the tests of the built pages use"
	@echo "make postgresql  install the database server that the tests of the gradebook use"
	@echo "make sandbox     install what submissions are graded in: bubblewrap and libseccomp"

# The stamp is written last and removed first, so an environment without one is half made: start anew.
$(READY): requirements.txt pyproject.toml
	@python=; \
	for candidate in $(PYTHON); do \
	    if $$candidate -c "$(USABLE)" >/dev/null 2>&1; then python=$$candidate; break; fi; \
	done; \
	if [ -z "$$python" ]; then echo "$(NO_PYTHON)" >&2; exit 1; fi; \
	echo "Setting up .venv with $$($$python --version) from requirements.txt: minutes the first time."; \
	if [ -e $@ ]; then rm $@; else $$python -m venv --clear .venv; fi
	@.venv/bin/python -m pip install --disable-pip-version-check -r requirements.txt | awk ' \
	    /(Downloading|Using cached) .*\([0-9][0-9]+\.[0-9]+ MB\)/ { print "  " $$0; fflush() } \
	    /^Installing collected packages/ { print "  Installing the packages"; fflush() }'
	@.venv/bin/python -m pip install --disable-pip-version-check --quiet \
	    --no-deps --no-build-isolation --editable .
	@touch $@

book: $(READY)
	@.venv/bin/course book

# One process more than there are cores: tests spend much of their time waiting for programs.
test: $(READY)
	@.venv/bin/pytest -n $(WORKERS)

quick: $(READY)
	@$(MAKE) -j 2 lint without-keras

without-keras: $(READY)
	@.venv/bin/pytest --quick -q -n 2

serve: $(READY) | _build/html/index.html
	@echo "Ctrl+C ends it; another port: make serve PORT=8001"
	@.venv/bin/python -m http.server $(PORT) --bind 127.0.0.1 --directory _build/html

_build/html/index.html:
	@$(MAKE) book

bench: $(READY)
	@.venv/bin/python -m benchmarks

lint: $(READY)
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/lint-imports
	.venv/bin/mypy
	.venv/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	.venv/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	bash -n .ci/run

clean:
	rm -rf _build .pytest_cache .ruff_cache .mypy_cache .import_linter_cache *.egg-info
	find . -path ./.venv -prune -o -type d \( -name __pycache__ -o -name .ipynb_checkpoints \) \
	    -prune -exec rm -rf {} +

# $(call debian-package,programs that would do,package)
define debian-package
	@for name in $(1); do \
	    if command -v $$name >/dev/null; then echo "Found $$(command -v $$name)."; exit 0; fi; \
	done; \
	if ! command -v apt-get >/dev/null; then \
	    echo "Install $(2) the way your system installs programs." >&2; exit 1; \
	fi; \
	as_root=; if [ "$$(id -u)" -ne 0 ]; then as_root=sudo; fi; \
	$$as_root apt-get update -qq; \
	$$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(2)
endef

browser:
	$(call debian-package,chromium chromium-browser google-chrome,chromium)

# Debian keeps the server out of PATH.
postgresql:
	$(call debian-package,postgres /usr/lib/postgresql/*/bin/postgres,postgresql)

# Ubuntu since 23.10 lets bubblewrap create user namespaces only with a profile for AppArmor.
APPARMOR_RULE := /proc/sys/kernel/apparmor_restrict_unprivileged_userns
PROFILE := /etc/apparmor.d/bwrap

sandbox:
	$(call debian-package,bwrap,bubblewrap libseccomp2)
	@if grep -qsx 1 $(APPARMOR_RULE) && ! bwrap --unshare-user --ro-bind / / true 2>/dev/null; then \
	    echo "Installing $(PROFILE), with which bubblewrap can create user namespaces."; \
	    as_root=; if [ "$$(id -u)" -ne 0 ]; then as_root=sudo; fi; \
	    $$as_root install -m 644 course_utils/grading/sandbox/bwrap.apparmor $(PROFILE); \
	    $$as_root apparmor_parser -r $(PROFILE); \
	fi
