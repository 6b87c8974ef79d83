# The static file (docs/static.md). ARCH=amd64 or arm64 builds that one alone.
ARCH    ?= amd64 arm64
STATIC  := $(BIN)/python packaging/static/build.py
NATIVE  := $(patsubst x86_64,amd64,$(patsubst aarch64,arm64,$(shell uname -m)))
STATIC_PREFIX := dist/$(NAME)-$(shell sed -n 's/^VERSION = "\(.*\)"/\1/p' src/gcp_sa_credential_provider/version.py)-linux-
STATIC_FILE := $(STATIC_PREFIX)$(NATIVE)

$(STATIC_PREFIX)%: $(SOURCES) $(shell find packaging/static -type f -not -name '*.pyc') | $(VENV)/.run
	@$(STATIC) $*

.PHONY: static
static: $(ARCH:%=$(STATIC_PREFIX)%) ## the static file for both architectures (ARCH=amd64: one), .sha256 and SBOM

.PHONY: test-static
test-static: venv ## the process suite and the hardening tests over the static files and the image
	@$(MAKE) --no-print-directory image packages ARCH="amd64 arm64"
	$(BIN)/pytest tests/process --plugin $(STATIC_FILE) --numprocesses=auto
	$(BIN)/pytest tests/static --numprocesses=auto

.PHONY: static-reproducible
static-reproducible: $(VENV)/.run ## link twice, in two folders: the same bytes
	@$(STATIC) --twice $(NATIVE)

# The one test that limits the address space: the sanitizer's own map of it has no room then.
ASAN = tests/process --plugin build/static-asan/plugin \
	--deselect tests/process/test_descriptors.py::test_no_thread_to_spare

.PHONY: static-asan
static-asan: venv ## the process suite over the C part with AddressSanitizer (gcc, libssl-dev)
	@$(BIN)/python packaging/static/sanitize.py --fault
	@$(BIN)/python packaging/static/sanitize.py
	$(BIN)/pytest $(ASAN)
	@$(BIN)/python packaging/static/sanitize.py --malloc
	$(BIN)/pytest $(ASAN)

.PHONY: image
image: static ## dist/NAME-VERSION-image.tar: an OCI layout with the files of both architectures
	@$(BIN)/python packaging/static/image.py $(ARCH)

.PHONY: licenses
licenses: static ## the licences of all that is in the static file
	@$(STATIC_FILE) --licenses
