"""`node status`: what is installed, and whether file, flag and kubelet agree on it.

Imports `entry`, `kubelet`, `planned`, `splice`, `state`, `validate`. Changes nothing.
"""

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gcp_sa_credential_provider.node import splice
from gcp_sa_credential_provider.node.act import Host
from gcp_sa_credential_provider.node.change import Was, now
from gcp_sa_credential_provider.node.document import Unreadable
from gcp_sa_credential_provider.node.entry import text_of
from gcp_sa_credential_provider.node.install import running
from gcp_sa_credential_provider.node.planned import Planned
from gcp_sa_credential_provider.node.state import CONFIG, Installed, State
from gcp_sa_credential_provider.node.validate import Reader, problems, with_our_flags

if TYPE_CHECKING:
    from gcp_sa_credential_provider.node.kubelet import Kubelet


@dataclass(frozen=True, kw_only=True)
class Status:
    """What there is to say of a node."""

    installed: bool
    version: str | None
    """Of this program, as it was installed."""
    profile: str | None
    config: str | None
    bin_dir: str | None
    minor: str | None
    """Of the kubelet that the entries are written for."""
    names: list[str]
    """Of our entries."""
    unfinished: str | None
    """The command whose change was broken off."""
    restart_due: bool
    """Whether the kubelet that runs has not read the configuration yet."""
    kubelet: str | None
    """Minor of the kubelet that runs."""
    problems: list[str]
    """Where file, flag and kubelet do not agree; none: all is well."""


def read(host: Host) -> Status:
    """Look. Raises Refused."""
    state = host.store.load()
    installed, last = state.installed, state.change
    kubelet = running(host)
    unfinished = last.command if last and not last.finished else None
    due = installed is not None and _due(state, kubelet)
    found = list(_problems(host, installed, kubelet)) if installed else []
    if unfinished:
        found.insert(0, f"`node {unfinished}` was broken off; run it again, or `node rollback`")
    if due:
        found.append("the kubelet was not restarted since the last change")
    return Status(
        installed=installed is not None,
        version=installed.version if installed else None,
        profile=installed.profile if installed else None,
        config=installed.config if installed else None,
        bin_dir=installed.bin_dir if installed else None,
        minor=_text(installed.minor) if installed else None,
        names=list(installed.cache_types) if installed else [],
        unfinished=unfinished,
        restart_due=due,
        kubelet=_text(kubelet.minor) if kubelet else None,
        problems=found,
    )


def lines(status: Status) -> list[str]:
    """The same for people."""
    if not status.installed and not status.unfinished:
        return ["not installed"]
    told = {
        "installed": status.version,
        "profile": status.profile,
        "config": status.config,
        "programs in": status.bin_dir,
        "entries": ", ".join(status.names),
        "written for": f"a kubelet of {status.minor}",
        "kubelet": f"{status.kubelet} runs" if status.kubelet else "none runs, or none was asked",
    }
    found = [f"{name}: {value}" for name, value in told.items()]
    return found + [f"problem: {what}" for what in status.problems or []] or found


def _text(minor: tuple[int, int]) -> str:
    return f"{minor[0]}.{minor[1]}"


def _due(state: State, kubelet: "Kubelet | None") -> bool:
    last = state.change
    return bool(last and kubelet and last.finished and last.unread(kubelet.started))


def _problems(host: Host, installed: Installed, kubelet: "Kubelet | None") -> list[str]:
    found = []
    for file in installed.files:
        there = now(host.root, file.path)
        if there == file.after:
            continue
        if there == Was():
            found.append(f"{file.path}: is gone")
        elif file.role != CONFIG:
            found.append(f"{file.path}: is no longer as it was installed")
    found += _entries(host, installed)
    planned = Planned(host.root)
    reader = Reader(
        minor=kubelet.minor if kubelet else installed.minor,
        gates=kubelet.gates if kubelet else with_our_flags(installed.minor, {}),
        executable=lambda name: planned.executable(posixpath.join(installed.bin_dir, name)),
    )
    found += [
        f"a kubelet would not start: {what}"
        for what in problems(planned.config(installed.given), reader)
    ]
    if kubelet is not None:
        from gcp_sa_credential_provider.node.kubelet import led_elsewhere

        found += led_elsewhere(host.root, kubelet, installed.given, installed.bin_dir)
    return found


def _entries(host: Host, installed: Installed) -> list[str]:
    content = host.root.read(installed.config)
    if content is None:
        return []
    try:
        there = [
            one.get("name") for one in splice.entries(text_of(content)) if isinstance(one, dict)
        ]
    except (Unreadable, splice.Unspliced) as error:
        return [f"{installed.config}: {error}"]
    return [
        f"{installed.config}: the entry {name} is gone"
        for name in installed.cache_types
        if name not in there
    ]
