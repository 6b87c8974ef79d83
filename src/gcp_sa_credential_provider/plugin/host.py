"""What the process was given: environment, descriptors and the way out."""

import posix
import resource

from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Host(Value):
    """The world around one run. `exit` ends the process at once, from any thread."""

    environment: "dict[str, str]"
    stdin: int
    stdout: int
    stderr: int
    exit: "Callable[[int], object]"


def this_process() -> Host:
    """The kubelet's exec: descriptors 0, 1 and 2; no core dump, since memory holds tokens."""
    try:
        # Less than any dump has. And 1, not 0: a program that core_pattern names gets dumps
        # whatever the limit is, unless it is that (linux/fs/coredump.c).
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
    except ValueError:  # the limit that we were given is 0, and not ours to raise
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    environment = {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in posix.environ.items()
    }
    return Host(environment=environment, stdin=0, stdout=1, stderr=2, exit=posix._exit)


def check_descriptors(host: Host) -> None:
    """Refuse to run without stdout, and give a missing stdin or stderr a place to go.

    A closed descriptor's number would be given to the next socket, and the response, a secret,
    would be written there. Raises Failure STDOUT-CLOSED.
    """
    closed = [fd for fd in (host.stdin, host.stdout, host.stderr) if not _is_open(fd)]
    for fd in closed:
        null = posix.open("/dev/null", posix.O_RDWR)
        if null != fd:
            posix.dup2(null, fd)
            posix.close(null)
    if host.stdout in closed:
        raise Failure("STDOUT-CLOSED", error="it was closed from the start")


def _is_open(fd: int) -> bool:
    try:
        posix.fstat(fd)
    except OSError:
        return False
    return True


def write_all(fd: int, data: bytes) -> None:
    """Write all of `data`. Raises OSError."""
    while data:
        data = data[posix.write(fd, data) :]
