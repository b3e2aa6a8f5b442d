# Marquee's commands; `make` alone lists them. Each first sets up .venv with what it needs, from requirements/*.txt.
#
#   make demo PYTHON=python3.13    another Python for a new .venv
#   make test ARGS="-k calendar"   more arguments for the command that a target runs

PYTHON ?= python3
UV ?= uv
BIN := .venv/bin

# Stamps of what is set up. A .venv works only in the folder it was made in, so their names carry the folder:
# a copy of the project makes its own.
HERE := $(shell pwd -P | cksum | cut -d' ' -f1)
VENV := .venv/.made-$(HERE)
BASE := .venv/.base-$(HERE)
DEV := .venv/.dev-$(HERE)

# Nothing is resolved or built outside the lock files: not even what building pyspark (source only) and ourselves takes.
INSTALL := $(BIN)/pip --disable-pip-version-check install --no-build-isolation
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --fork-strategy fewest --generate-hashes \
	--no-emit-index-url --no-emit-find-links --custom-compile-command 'make lock'

# The Java that Spark would start: its main version (8 calls itself 1.8), nothing where there is none.
JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
JAVA_VERSION = $(shell "$(JAVA)" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p')
NO_JAVA = $(shell [ "0$(JAVA_VERSION)" -ge 17 ] || echo yes)
JAVA_HELP = the Spark tests need Java 17 or later, and "$(JAVA)" is $(or $(JAVA_VERSION:%=Java %),not there). \
	Install one (Debian: apt-get install default-jre-headless, macOS: brew install openjdk) or point JAVA_HOME to it

.PHONY: help
help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*  ## /\1	/p' Makefile | \
		while IFS='	' read -r target text; do printf '%-8s %s\n' "$$target" "$$text"; done

.PHONY: setup
setup: $(BASE)  ## make .venv with what `marquee` needs (Python 3.11 or later)
	@echo "$(BIN)/marquee is ready: see $(BIN)/marquee --help"

.PHONY: demo
demo: $(BASE)  ## run all of Marquee on a simulated week and print the answers
	@$(BIN)/marquee demo $(ARGS)

.PHONY: test
test: java lint  ## lint, types and tests (the Spark tests need Java 17 or later)
	@$(BIN)/pytest -n 2 --dist loadfile $(if $(NO_JAVA),-m 'not spark') $(ARGS)
	@$(if $(NO_JAVA),printf '\n!!! NOT RUN: %s.\n' '$(JAVA_HELP)')

.PHONY: lint
lint: $(DEV)  ## check style, format and types
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

.PHONY: format
format: $(DEV)  ## format the code and mend what ruff can
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

.PHONY: bench
bench: $(DEV)  ## compare the rollup with plain scripts, and loading MySQL with a bare LOAD DATA
	@$(BIN)/python -m bench $(ARGS)

.PHONY: docs
docs: $(BASE)  ## write the generated pages of docs/ anew
	@$(BIN)/python -m tools.docs $(ARGS)

.PHONY: lock
lock:  ## write requirements/*.txt from pyproject.toml (ARGS=--upgrade: with the newest versions)
	@command -v $(UV) >/dev/null || { echo 'make lock needs uv: pip install uv' >&2; exit 1; }
	$(COMPILE) $(ARGS) --group build -o requirements/build.txt
	$(COMPILE) $(ARGS) pyproject.toml -o requirements/base.txt
	$(COMPILE) $(ARGS) pyproject.toml --all-extras -c requirements/base.txt -o requirements/dev.txt

.PHONY: clean
clean:  ## remove .venv and what the tools left
	rm -rf .venv .demo dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Before anything is installed: where nobody would read a warning, a missing Java is an error.
.PHONY: java
java:
	@$(if $(NO_JAVA),$(if $(filter true,$(CI)),$(error $(JAVA_HELP))))

# Made anew when its Python went away too, as an upgrade of the system does.
$(VENV): requirements/build.txt $(shell [ -x $(BIN)/python ] || echo FORCE)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "Marquee needs Python 3.11 or later, but $(PYTHON) is: $$($(PYTHON) --version 2>&1)" >&2; \
		echo "Install one (Debian 12: apt-get install python3 python3-venv, macOS: brew install python)," >&2; \
		echo "or name another that is there: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "$(PYTHON) cannot make virtual environments; on Debian: apt-get install python3-venv" >&2; exit 1; }
	rm -rf .venv
	$(PYTHON) -m venv .venv
	$(INSTALL) --require-hashes -r requirements/build.txt
	@touch $@

$(BASE): $(VENV) requirements/base.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements/base.txt
	$(INSTALL) --no-deps --editable .
	@touch $@

$(DEV): $(BASE) requirements/dev.txt
	$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: FORCE
FORCE:
