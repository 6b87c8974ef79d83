"""Where the built files are."""

from pathlib import Path

from gcp_sa_credential_provider.version import VERSION
from process.launch import NAME

DIST = Path(__file__).parents[2] / "dist"


def built(arch: str) -> Path:
    """The file for an architecture, by Go's name of it."""
    return DIST / f"{NAME}-{VERSION}-linux-{arch}"
