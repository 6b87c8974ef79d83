"""A program of the host, run in the host's own file tree.

Imports `files`, `failure`. A child of ours gets no more than it needs: a PATH, and nothing of our
environment. From a pod it is started behind chroot(2) (CAP_SYS_CHROOT), since neither the
program nor its libraries are in the pod's image.
"""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.files import Root

PATH = (
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/opt/bin:/opt/rke2/bin:/snap/bin"
)
_SECONDS = 60
_MOST = 400  # characters of a program's output in a message


@dataclass(frozen=True)
class Ended:
    """How a program ended."""

    code: int
    """Negative: by that signal."""
    output: str
    errors: str

    @property
    def said(self) -> str:
        """What it said last, for a message."""
        text = " ".join((self.errors.strip() or self.output.strip()).split())
        return text[-_MOST:] or "nothing"


def is_own(root: Root) -> bool:
    """Whether the tree is this process's own."""
    ours, theirs = Path("/").stat(), root.path.stat()
    return (ours.st_dev, ours.st_ino) == (theirs.st_dev, theirs.st_ino)


def run(
    root: Root,
    argv: Sequence[str],
    *,
    executable: str | None = None,
    environment: Mapping[str, str] | None = None,
    input: bytes = b"",  # noqa: A002 -- as of subprocess.run
    seconds: float = _SECONDS,
) -> Ended:
    """Run it to its end. `executable`: what is started in place of `argv[0]`.

    Raises Failed: it is not there, cannot be run, or takes longer than `seconds`.
    """

    def enter() -> None:
        os.chroot(root.path)
        os.chdir("/")

    name = executable or argv[0]
    try:
        done = subprocess.run(
            argv,
            executable=executable,
            input=input,
            capture_output=True,
            check=False,
            timeout=seconds,
            env={"PATH": PATH, "LC_ALL": "C.UTF-8", **(environment or {})},
            cwd="/",
            # Nothing here has threads while it changes a node.
            preexec_fn=None if is_own(root) else enter,
        )
    except subprocess.TimeoutExpired:
        raise Failed(
            f"{name}: did not end within {seconds:.0f} s. Fix: run it by hand to see what it waits"
            " for"
        ) from None
    except OSError as error:
        raise Failed(
            f"{name}: cannot be run: {error.strerror}. Fix: see that it is there, and a program"
            " for this machine"
        ) from None
    except subprocess.SubprocessError:
        raise Failed(
            f"{name}: cannot be run in {root.path}. Fix: run this as root; in a pod with hostPID"
            " and the capabilities SYS_CHROOT and SYS_PTRACE"
        ) from None
    return Ended(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )
