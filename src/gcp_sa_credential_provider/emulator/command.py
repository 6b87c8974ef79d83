"""The emulator as a process of its own: configuration, signals, one ready line, exit status.

Imports the server. The command line itself is `cli/emulate.py`.
"""

import asyncio
import signal
import sys
from pathlib import Path

from gcp_sa_credential_provider.emulator import config
from gcp_sa_credential_provider.emulator.rejection import ConfigError
from gcp_sa_credential_provider.emulator.serve import Files, running
from gcp_sa_credential_provider.emulator.state import Google

_NAME = "gcp-sa-credential-provider emulate"


def main(directory: Path, port: int, config_file: Path | None, files: Files) -> int:
    """Serve until SIGTERM or SIGINT; 0 then, 1 when it cannot serve, 2 on a wrong configuration.

    The configuration is checked before anything is opened or written.
    """
    try:
        document = config.document(config_file) if config_file else {}
        loaded = files.loaded(document, str(config_file or "config"))
        asyncio.run(_serve(loaded, directory, port, files))
    except ConfigError as error:
        print(f"{_NAME}: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        what = f"{error.filename or directory}: {error.strerror or error}"
        fix = "choose another port, directory or file"
        print(f"{_NAME}: cannot serve: {what}. Fix: {fix}", file=sys.stderr)
        return 1
    return 0


async def _serve(loaded: config.Config, directory: Path, port: int, files: Files) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with running(
        Google(loaded), directory, port=port, proxy=loaded.proxy, files=files
    ) as emulator:
        print(
            f"{_NAME}: ready at {emulator.endpoints['sts']}"
            f" (endpoints: {directory / 'endpoints.json'})",
            flush=True,
        )
        await stop.wait()
