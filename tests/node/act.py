"""What the installer does to its host, as a command: run in a pod's place beside a real systemd.

    python act.py COMMAND [ARGUMENT...]

The host's tree is /proc/1/root, as in a pod with hostPID. Prints JSON, or how it failed.
"""

import dataclasses
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.node import change, health, kubelet, profile
from gcp_sa_credential_provider.node.failure import Failed, Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.health import Patience
from gcp_sa_credential_provider.node.systemd import Systemd

ROOT = Root(Path("/proc/1/root"))


def restart(*units: str) -> None:
    """And be gone at once, as a pod is that is killed."""
    Systemd(ROOT).daemon_reload()
    Systemd(ROOT).restart(units)
    os.kill(os.getpid(), signal.SIGKILL)


def arm(seconds: str, *argv: str) -> None:
    Systemd(ROOT).arm(int(seconds), argv)


def disarm() -> None:
    Systemd(ROOT).disarm(fired=True)


def available() -> bool:
    return Systemd(ROOT).available()


def running() -> dict[str, Any] | None:
    found = kubelet.running(ROOT)
    return dataclasses.asdict(found) if found else None


def wire() -> dict[str, Any]:
    """Make what passes the flags, and have them used."""
    found = kubelet.running(ROOT)
    made = profile.wiring(ROOT, found, None, found.minor if found else (1, 34))
    for edit in made.flags:
        change.do(ROOT, edit)
    Systemd(ROOT).daemon_reload()
    Systemd(ROOT).restart(made.units)
    return {"profile": made.profile, "config": made.config, "units": made.units}


def turn_over(stay: str) -> list[str]:
    """Restart, and wait until it is well. What could not be looked at."""
    before = kubelet.running(ROOT)
    assert before is not None
    made = profile.wiring(ROOT, before, None, before.minor)
    said: list[str] = []
    Systemd(ROOT).restart(made.units)
    patience = Patience(whole=10, stay=float(stay), between=0.1)
    health.wait(ROOT, before, made, None, patience=patience, say=said.append)
    return said


def main() -> int:
    name, *arguments = sys.argv[1:]
    commands = {
        one.__name__: one for one in (restart, arm, disarm, available, running, wire, turn_over)
    }
    try:
        print(json.dumps(commands[name](*arguments)))
    except (Failed, Refused) as error:
        print(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
