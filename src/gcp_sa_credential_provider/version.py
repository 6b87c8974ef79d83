"""The one version literal: the build backend, `--version` and the User-Agent read it here."""

VERSION = "0.1.0"
