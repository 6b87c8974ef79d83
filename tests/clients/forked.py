"""gcloud's own code, imported once: each of its commands is a fork of the process that did.

    PYTHON -S forked.py LIB SOCKET     serve until stdin ends; PYTHON is gcloud's own

Importing takes gcloud half a second, and a script starts it dozens of times. Its own wrapper starts
what CLOUDSDK_PYTHON names: `CLIENT` there hands arguments, environment, folder and the three
standard streams over to the server, and ends as the command does. Imports what both Pythons have.
"""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

CLIENT = """\
#!{python} -IS
import json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({socket!r})
told = {{"argv": sys.argv[1:], "environment": dict(os.environ), "folder": os.getcwd()}}
message = json.dumps(told).encode()
sent = socket.send_fds(server, [message], [0, 1, 2])
server.sendall(message[sent:])
server.shutdown(socket.SHUT_WR)
sys.exit(server.recv(1)[0])
"""


@contextlib.contextmanager
def forked(folder: Path, python: str, root: str) -> Iterator[Path]:
    """Serve during the block. Yields what CLOUDSDK_PYTHON is to name.

    `python`, `root`: gcloud's own interpreter, and where it is installed.
    """
    client, address = folder / "python", folder / "socket"
    client.write_text(CLIENT.format(python=sys.executable, socket=str(address)))
    client.chmod(0o755)
    with subprocess.Popen(
        [python, "-S", __file__, f"{root}/lib", str(address)],
        env={"PATH": os.environ["PATH"], "HOME": str(folder), "CLOUDSDK_CONFIG": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as server:
        assert server.stdin
        assert server.stdout
        assert server.stdout.readline() == b"ready\n"
        yield client
        server.stdin.close()


def serve(lib: str, address: str) -> None:
    """Fork for each client, until stdin ends."""
    sys.path[:0] = [f"{lib}/third_party", lib]
    from googlecloudsdk import gcloud_main  # type: ignore[import-not-found]
    from googlecloudsdk.core.configurations import (  # type: ignore[import-not-found]
        named_configs,
    )

    def command() -> None:
        named_configs.ActivePropertiesFile.Invalidate()  # read in the course of the import
        gcloud_main.main()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for these children
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
            client, _ = listener.accept()
            with client:
                if os.fork() == 0:
                    listener.close()
                    client.sendall(bytes([_run(client, command)]))
                    os._exit(0)


def _run(client: socket.socket, command: Callable[[], None]) -> int:
    """Run a command as the client would have. Returns the exit code."""
    message, streams, _, _ = socket.recv_fds(client, 1 << 16, 3)
    while more := client.recv(1 << 16):
        message += more
    told = json.loads(message)
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.chdir(told["folder"])
    os.environ.clear()
    os.environ.update(told["environment"])
    sys.argv = [word for word in told["argv"] if word != "-S"]
    try:
        command()
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else bool(ended.code)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    serve(*sys.argv[1:])
