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

# Sail, with the client of Spark Connect that it takes, is in a folder of its own: that client is another pyspark. What
# it shares with the other packages is not locked twice.
DEV_EXTRAS := bench dev launcher spark
SAIL_SHARES := numpy pyarrow python-dateutil pyyaml six typing-extensions tzdata

# The images: a target in images/stage/Dockerfile and a lock file each, whose versions are those that the tests ran with.
#
#   make images REGISTRY=registry.example.org/marquee VERSION=1.2.3 BUILD_ARGS='--network host'
#   make images BUILD_ARGS='--secret id=pip,src=pip.conf --build-arg DEBIAN=mirror.example.org/debian:bookworm-slim'
PYTHON_IMAGES := exporter mart_load schedule_fetch
SPARK_IMAGES := profile rollup
IMAGES := $(PYTHON_IMAGES) $(SPARK_IMAGES)
define LOCK_IMAGE
	$(COMPILE) $(ARGS) --group $(1) -c requirements/dev.txt -o requirements/$(1).txt

endef
DOCKER ?= docker
REGISTRY ?= marquee
# The Debian to start from, with its digest where one is pinned; BUILD_ARGS may name another.
DEBIAN ?= $(shell sed -n '/^debian:/p' images/pins.txt)
VERSION ?= $(shell sed -n 's/^__version__ = "\(.*\)"/\1/p' marquee/version.py)
REVISION := $(shell git rev-parse HEAD 2>/dev/null)
# Builds trust whom this machine trusts, such as a proxy's own authority.
CERTIFICATES := $(wildcard /etc/ssl/certs/ca-certificates.crt)
BUILD = DOCKER_BUILDKIT=1 $(DOCKER) build $(CERTIFICATES:%=--secret id=ca,src=%) --build-arg DEBIAN=$(DEBIAN) $(BUILD_ARGS)
define BUILD_BASE
	$(BUILD) --file images/base/Dockerfile --target $(1) --tag $(REGISTRY)/base-$(1):$(VERSION) .

endef
define BUILD_IMAGE
	$(BUILD) --file images/stage/Dockerfile --tag $(REGISTRY)/$(1):$(VERSION) --build-arg STAGE=$(1) \
		--build-arg BUILD=$(REGISTRY)/base-build:$(VERSION) --build-arg BASE=$(REGISTRY)/base-$(2):$(VERSION) \
		--build-arg VERSION=$(VERSION) --build-arg REVISION=$(REVISION) .

endef

# The Java that Spark would start: its main version (8 calls itself 1.8), nothing where there is none.
JAVA := $(if $(JAVA_HOME),$(JAVA_HOME)/bin/java,java)
JAVA_VERSION = $(shell "$(JAVA)" -version 2>&1 | sed -n 's/.* version "\(1\.\)\{0,1\}\([0-9]*\).*/\2/p')
NO_JAVA = $(shell [ "0$(JAVA_VERSION)" -ge 17 ] || echo yes)
JAVA_HELP = the Spark tests need Java 17 or later, and "$(JAVA)" is $(or $(JAVA_VERSION:%=Java %),not there). \
	Install one (Debian: apt-get install default-jre-headless, macOS: brew install openjdk) or point JAVA_HOME to it

# Scripts of the shell, by their first line.
SCRIPTS = $(shell grep -lE '^\#!.*sh$$' .ci/* images/*/* tests/e2e_cluster/*/*)

# What the tests of charts/ call.
NO_HELM = $(if $(and $(shell command -v helm),$(shell command -v skaffold)),,yes)
HELM_HELP = the tests of charts/ need helm (3.18 or later) and skaffold (2.19 or later) in the PATH

# What the tests of alerts and dashboards call.
NO_PROMETHEUS = $(if $(and $(shell command -v prometheus),$(shell command -v promtool)),,yes)
PROMETHEUS_HELP = the tests of alerts and dashboards need prometheus and promtool in the PATH \
	(Debian: apt-get install prometheus)

# What the tests of completion call.
NO_SHELLS = $(if $(and $(shell command -v zsh),$(shell command -v fish)),,yes)
SHELLS_HELP = the tests of completion need zsh and fish in the PATH (Debian: apt-get install zsh fish)

# What the test that counts instructions calls.
NO_VALGRIND = $(if $(shell command -v valgrind),,yes)
VALGRIND_HELP = the test that counts instructions needs valgrind in the PATH (Debian: apt-get install valgrind)

# Tests that cannot run here, by their markers.
NOTHING :=
SKIPPED = $(strip $(if $(NO_JAVA),spark) $(if $(NO_HELM),helm) $(if $(NO_PROMETHEUS),prometheus) \
	$(if $(NO_SHELLS),shells) $(if $(NO_VALGRIND),valgrind))
SELECTED = $(if $(SKIPPED),-m 'not ($(subst $(NOTHING) $(NOTHING), or ,$(SKIPPED)))')

.PHONY: help
help:  ## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*  ## /\1	/p' Makefile | \
		while IFS='	' read -r target text; do printf '%-12s %s\n' "$$target" "$$text"; done

.PHONY: setup
setup: $(BASE)  ## make .venv with what `marquee` needs (Python 3.11 or later)
	@echo "$(BIN)/marquee is ready: see $(BIN)/marquee --help"

.PHONY: demo
demo: $(BASE)  ## run all of Marquee on a simulated week and print the answers
	@$(BIN)/marquee demo $(ARGS)

.PHONY: test
test: java helm prometheus shells valgrind lint  ## lint, types and tests (Spark's need Java 17 or later, S3's versitygw, the charts' helm, skaffold and prometheus, completion's zsh and fish, the count of instructions valgrind)
	@$(BIN)/pytest -n 2 --dist loadfile $(SELECTED) $(ARGS)
	@$(if $(NO_JAVA),printf '\n!!! NOT RUN: %s.\n' '$(JAVA_HELP)')
	@$(if $(NO_HELM),printf '\n!!! NOT RUN: %s.\n' '$(HELM_HELP)')
	@$(if $(NO_PROMETHEUS),printf '\n!!! NOT RUN: %s.\n' '$(PROMETHEUS_HELP)')
	@$(if $(NO_SHELLS),printf '\n!!! NOT RUN: %s.\n' '$(SHELLS_HELP)')
	@$(if $(NO_VALGRIND),printf '\n!!! NOT RUN: %s.\n' '$(VALGRIND_HELP)')

.PHONY: check
check: $(DEV) lint  ## the quick part: lint, types and the unit tests
	@$(BIN)/pytest -n 2 --dist loadfile tests/unit $(SELECTED) $(ARGS)

.PHONY: lint
lint: $(DEV)  ## check style, format, types and imports, SQL, Dockerfiles and scripts of the shell
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/hadolint images/*/Dockerfile
	@$(BIN)/shellcheck $(SCRIPTS)
	@$(BIN)/sqlfluff lint --disable-progress-bar --processes -1 jobs marquee
	@$(BIN)/mypy
	@$(BIN)/lint-imports

.PHONY: format
format: $(DEV)  ## format the code and mend what ruff can
	@$(BIN)/ruff check --fix-only
	@$(BIN)/ruff format

.PHONY: bench
bench: $(DEV)  ## compare the rollup with plain scripts and loading MySQL with a bare LOAD DATA, and time the questions
	@$(BIN)/python -m bench $(ARGS)

.PHONY: docs
docs: $(DEV)  ## write the generated pages and schemas anew
	@$(BIN)/python -m tools.docs $(ARGS)

.PHONY: images
images:  ## build the container images and print their sizes (needs Docker)
	$(foreach target,build python spark,$(call BUILD_BASE,$(target)))
	$(foreach image,$(PYTHON_IMAGES),$(call BUILD_IMAGE,$(image),python))
	$(foreach image,$(SPARK_IMAGES),$(call BUILD_IMAGE,$(image),spark))
	@$(DOCKER) image inspect --format '{{index .RepoTags 0}} {{.Size}}' $(IMAGES:%=$(REGISTRY)/%:$(VERSION)) | \
		awk '{printf "%-40s %4d MB\n", $$1, $$2 / 1e6}'

.PHONY: test-images
test-images: $(DEV)  ## test the container images that `make images` has built (needs Docker)
	@DOCKER=$(DOCKER) REGISTRY=$(REGISTRY) VERSION=$(VERSION) $(BIN)/pytest tests/images $(ARGS)

# Who makes a release, for its provenance: a URI.
BUILDER ?= urn:marquee:builder:unnamed

.PHONY: release
release: images $(DEV)  ## make everything that a VERSION ships: images, charts, wheel, SBOMs, provenance (needs Docker)
	@$(BIN)/python -m tools.release --docker $(DOCKER) --registry $(REGISTRY) --version $(VERSION) --base $(DEBIAN) \
		--builder $(BUILDER) $(IMAGES)

.PHONY: test-release
test-release: $(DEV)  ## test the release that `make release` has made
	@VERSION=$(VERSION) $(BIN)/pytest tests/release $(ARGS)

.PHONY: audit
audit: $(DEV)  ## compare what is locked and released with a vulnerability database: DB=folder or zip of OSV
	@VERSION=$(VERSION) $(BIN)/python -m tools.release.audit $(DB)

.PHONY: renew
renew: $(DEV)  ## propose the newest locks and digests of base images, and test them (needs uv and Docker)
	@$(BIN)/python -m tools.release.renew --docker $(DOCKER) $(ARGS)

# What the tests in a cluster call; they say themselves what else is missing.
NO_CLUSTER = $(strip $(foreach tool,kubectl helm jq prometheus kube-state-metrics,$(if $(shell command -v $(tool)),,$(tool))))

.PHONY: e2e
e2e: cluster  ## test images, charts and operator in the cluster of KUBECONFIG, in namespaces of their own
	$(call IN_CLUSTER,not day2)

.PHONY: day2
day2: cluster  ## break what a release needs in that cluster, with NetworkPolicies enforced by E2E_POLICIES, and walk through the runbooks: takes long
	$(call IN_CLUSTER,day2)

define IN_CLUSTER
	@DOCKER=$(DOCKER) $(BIN)/pytest tests/e2e_cluster -m '$(1)' -s -o faulthandler_timeout=3600 $(ARGS)
endef

.PHONY: cluster
cluster: $(DEV)
	@$(if $(NO_CLUSTER),$(error the tests in a cluster need in the PATH: $(NO_CLUSTER)))
	@kubectl get --raw /readyz >/dev/null || { echo 'the tests in a cluster need one: set KUBECONFIG' >&2; exit 1; }
	@kubectl get crd sparkapplications.sparkoperator.k8s.io >/dev/null || { \
		echo 'the tests in a cluster need the spark-operator in it, for all namespaces' >&2; exit 1; }
	@kubectl get crd podmonitors.monitoring.coreos.com prometheusrules.monitoring.coreos.com >/dev/null || { \
		echo "the tests in a cluster need the prometheus-operator's definitions in it" >&2; exit 1; }

.PHONY: drill
drill: helm $(DEV)  ## break what Marquee needs, and see which alerts fire (needs helm and prometheus)
	@$(BIN)/pytest tests/e2e/test_fault_drill.py -s $(SELECTED) $(ARGS)

.PHONY: lock
lock:  ## write requirements/*.txt from pyproject.toml (ARGS=--upgrade: with the newest versions)
	@command -v $(UV) >/dev/null || { echo 'make lock needs uv: pip install uv' >&2; exit 1; }
	$(COMPILE) $(ARGS) --group build -o requirements/build.txt
	$(COMPILE) $(ARGS) pyproject.toml -o requirements/base.txt
	$(COMPILE) $(ARGS) pyproject.toml $(DEV_EXTRAS:%=--extra %) -c requirements/base.txt -o requirements/dev.txt
	$(foreach image,$(IMAGES),$(call LOCK_IMAGE,$(image)))
	echo pyspark | $(COMPILE) $(ARGS) - -c requirements/dev.txt -o requirements/spark.txt
	$(COMPILE) $(ARGS) --group sail -c requirements/dev.txt $(SAIL_SHARES:%=--no-emit-package %) -o requirements/sail.txt

.PHONY: clean
clean:  ## remove .venv and what the tools left
	rm -rf .venv .demo dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Before anything is installed: where nobody would read a warning, a missing Java is an error, as are missing tools.
.PHONY: java
java:
	@$(if $(NO_JAVA),$(if $(filter true,$(CI)),$(error $(JAVA_HELP))))

.PHONY: helm
helm:
	@$(if $(NO_HELM),$(if $(filter true,$(CI)),$(error $(HELM_HELP))))

.PHONY: prometheus
prometheus:
	@$(if $(NO_PROMETHEUS),$(if $(filter true,$(CI)),$(error $(PROMETHEUS_HELP))))

.PHONY: shells
shells:
	@$(if $(NO_SHELLS),$(if $(filter true,$(CI)),$(error $(SHELLS_HELP))))

.PHONY: valgrind
valgrind:
	@$(if $(NO_VALGRIND),$(if $(filter true,$(CI)),$(error $(VALGRIND_HELP))))

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

$(BASE): $(VENV) requirements/base.txt pyproject.toml hatch_build.py $(wildcard jobs/*/*.pyx)
	$(INSTALL) --require-hashes -r requirements/base.txt
	$(INSTALL) --no-deps --editable .
	@touch $@

$(DEV): $(BASE) requirements/dev.txt requirements/sail.txt
	$(INSTALL) --require-hashes -r requirements/dev.txt
	rm -rf .venv/sail && $(INSTALL) --require-hashes --no-deps --target .venv/sail -r requirements/sail.txt
	@touch $@

.PHONY: FORCE
FORCE:
