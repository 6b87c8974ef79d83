"""The relay's own care for connections."""

import asyncio
import socket
import ssl

from gcp_sa_credential_provider.emulator.faults import FaultRules
from gcp_sa_credential_provider.emulator.relay import Relay


def test_a_connection_that_comes_as_all_ends() -> None:
    """Accepted, and cut before anything was done with it: it is closed all the same."""
    client, accepted = socket.socketpair()

    async def all_ends() -> None:
        contexts = {"valid": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}
        relay = Relay(("127.0.0.1", 1), contexts, FaultRules())
        relay.carry(accepted, None)
        await relay.close()

    with client:
        asyncio.run(all_ends())
        assert accepted.fileno() == -1
        assert client.recv(1) == b""
