# Start here: `make demo` shows the main job, `make test` proves it. Both need python3 >= 3.11, venv, pip and make.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
NAME   := gcp-sa-credential-provider
PIP    := $(BIN)/python -m pip --quiet --disable-pip-version-check
TYPED  := unit process emulator fuzz clients kubelet node cluster static
SOURCES := $(shell find src -type f -not -name '*.pyc') pyproject.toml README.md LICENSE
WHEEL  := dist/.wheel

.DELETE_ON_ERROR:

.PHONY: help
help: ## this list
	@grep -hE '^[a-z0-9.-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9.-]+):.*## /\1\t/' | expand -t 22

.PHONY: python
python:
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(0 if v >= (3, 11) else "%s is Python %d.%d; this project needs 3.11 or newer. Fix: make PYTHON=python3.12 ..." % (sys.executable, v[0], v[1]))'

# Most of what is installed is never imported here, and compiling it all would take as long as the
# rest: what is imported is compiled then, also where the environment says otherwise.
unexport PYTHONDONTWRITEBYTECODE
$(VENV)/.run: requirements/run.txt | python
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --no-compile --require-hashes -r $<
	@touch $@

$(VENV)/.dev: requirements/all.txt $(VENV)/.run
	$(PIP) install --no-compile --require-hashes -r $<
	@touch $@

$(WHEEL): $(SOURCES) $(VENV)/.run
	@rm -f dist/*.whl
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null
	@touch $@

# Tests run against the wheel that users get, never against the source tree.
$(VENV)/.package: $(WHEEL)
	$(PIP) install --no-deps --force-reinstall dist/*.whl
	@touch $@

.PHONY: venv
venv: $(VENV)/.dev $(VENV)/.package ## everything that development needs, in .venv

.PHONY: demo
demo: $(VENV)/.run $(VENV)/.package ## the main job, whole, on the embedded emulator
	@$(BIN)/$(NAME) demo

.PHONY: test
test: lint unit ## lint, types and all tests that need nothing but Python

.PHONY: lint
lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	MYPYPATH=src:tests $(BIN)/mypy
	MYPYPATH=src:tests $(BIN)/mypy tests/*.py $(foreach d,$(TYPED),tests/$(d)/*.py)
	MYPYPATH=src:tests:benchmarks $(BIN)/mypy benchmarks/*.py
	PYTHONPATH=src $(BIN)/lint-imports

.PHONY: unit
unit: venv zipapp
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest --numprocesses=auto
	$(BIN)/coverage combine --quiet
	$(BIN)/python tests/coverage_gate.py

.PHONY: zipapp
zipapp: $(WHEEL) ## dist/NAME.pyz: the plugin for nodes that have Python
	@$(BIN)/python packaging/zipapp.py

.PHONY: test-kubelet
test-kubelet: venv ## the kubelet's own code, newest minor (needs Go >= 1.26)
	$(BIN)/python tests/kubelet/build.py build
	$(BIN)/pytest tests/kubelet --numprocesses=auto --dist=loadfile

.PHONY: test-kubelets
test-kubelets: venv ## the same, all minors from 1.33 on
	$(BIN)/python tests/kubelet/build.py build --minors all
	$(BIN)/pytest tests/kubelet --kubelet-minors all --numprocesses=auto --dist=loadfile

.PHONY: test-clients
test-clients: venv ## judged by gcloud, OpenTofu, Helm, Go's x/oauth2, containerd, skopeo and a registry
	@PYTHONPATH=tests $(BIN)/python -m clients.opentofu build
	@PYTHONPATH=tests $(BIN)/python -m clients.charts build
	$(BIN)/python tests/kubelet/build.py build
	$(BIN)/pytest tests/clients --numprocesses=auto

.PHONY: test-node
test-node: venv ## the installer, on a host with a real systemd (root, systemd, a C compiler)
	$(BIN)/pytest tests/node

.PHONY: e2e
e2e: venv image ## a real cluster is set up and pulls (root, systemd, Go, gcloud, kubectl, containerd, docker-registry)
	$(BIN)/python tests/kubelet/build.py cluster
	@PYTHONPATH=tests $(BIN)/python -m clients.charts build
	$(BIN)/pytest tests/cluster --numprocesses=2 --dist=loadfile --no-loadscope-reorder --durations=10

.PHONY: e2e-1.33
e2e-1.33: venv ## Kubernetes 1.33, where tokens for pulls are alpha
	$(BIN)/python tests/kubelet/build.py alpha
	$(BIN)/pytest tests/kubelet/alpha.py

.PHONY: e2e-up
e2e-up: venv ## a cluster to look into
	@PYTHONPATH=tests $(BIN)/python -m cluster up

.PHONY: e2e-down
e2e-down: ## take it down again
	@PYTHONPATH=tests $(BIN)/python -m cluster down

FUZZ_SECONDS ?= 60

.venv-fuzz/.done: requirements/fuzz.txt | python
	$(PYTHON) -m venv .venv-fuzz
	.venv-fuzz/bin/python -m pip --quiet --disable-pip-version-check install --require-hashes -r $<
	@touch $@

.PHONY: fuzz
fuzz: .venv-fuzz/.done ## bounded fuzzing of stdin and of Google's answer (FUZZ_SECONDS each)
	.venv-fuzz/bin/python tests/fuzz/run.py --seconds $(FUZZ_SECONDS)

.PHONY: bench
bench: venv zipapp ## compare with Go, side by side; writes docs/performance.md
	$(BIN)/python benchmarks/bench.py

include packaging/static.mk
include packaging/packages.mk

.PHONY: docs
docs: venv ## write the generated pages anew
	$(BIN)/python -m gcp_sa_credential_provider explain --markdown > docs/errors.md
	$(BIN)/python tests/emulator/rules.py
	$(BIN)/python -m gcp_sa_credential_provider.fleet.schema > docs/fleet.schema.json

.PHONY: lock
lock: ## resolve requirements/ anew (needs uv)
	requirements/lock.sh

.PHONY: clean
clean: ## remove what was built here
	rm -rf $(VENV) .venv-fuzz dist build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .coverage .coverage.* .hypothesis
