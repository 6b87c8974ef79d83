"""What is said when a cluster, or a file that describes one, cannot be read or used.

Imports the catalogue's masking alone: texts of others may hold a token, ours never do.
"""

from gcp_sa_credential_provider.catalogue.recognise import masked

LONGEST_EVIDENCE = 300
"""Characters of other people's text in one message."""


class ClusterFailure(Exception):  # noqa: N818 -- "failure" is this project's word for it
    """A cluster did not answer as it should; `str()` is `where: what. Fix: how`."""

    code = 1
    """Exit code."""

    def __init__(self, where: str, what: str, fix: str, *, status: int | None = None) -> None:
        super().__init__(f"{where}: {what}. Fix: {fix}")
        self.status = status
        """HTTP status of the API server's answer, if there was one."""


class BadInput(ClusterFailure):
    """A flag, a file or a kubeconfig is wrong: nobody was asked anything."""

    code = 2


def evidence(text: str) -> str:
    """Another's text on one line, printable, short, and without anything like a token."""
    line = " ".join(masked(text).split())
    shown = "".join(c if c.isprintable() else "?" for c in line)
    return shown if len(shown) <= LONGEST_EVIDENCE else shown[: LONGEST_EVIDENCE - 3] + "..."
