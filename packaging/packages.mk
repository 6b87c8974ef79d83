# Packages of the static file for its two architectures (docs/packages.md).
PACKAGE := PYTHONPATH=packaging/static $(BIN)/python packaging

.PHONY: packages
packages: ## a Debian package, a systemd system extension, a Talos extension; needs squashfs-tools
	@$(MAKE) --no-print-directory static ARCH="amd64 arm64"
	@$(PACKAGE)/deb.py
	@$(PACKAGE)/sysext.py
	@$(PACKAGE)/talos.py
