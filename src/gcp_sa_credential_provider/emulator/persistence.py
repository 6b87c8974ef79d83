"""The state file: all resources as one JSON document, in the configuration's own form.

Imports config and files. It holds no token and no key; options and faults come from the
configuration at every start.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gcp_sa_credential_provider.emulator import config
from gcp_sa_credential_provider.emulator.files import write_whole
from gcp_sa_credential_provider.emulator.options import Options
from gcp_sa_credential_provider.emulator.principals import Policy
from gcp_sa_credential_provider.emulator.rejection import ConfigError
from gcp_sa_credential_provider.emulator.resources import Resources

RESOURCES = (
    "projects",
    "workloadIdentityPools",
    "workloadIdentityPoolProviders",
    "serviceAccounts",
    "repositories",
)


def document(resources: Resources) -> dict[str, Any]:
    """The resources as `config.load` takes them."""
    projects = {project.id: project for project in resources.projects.values()}
    accounts = {account.email: account for account in resources.service_accounts.values()}
    return {
        "projects": [
            {
                "projectId": project.id,
                "projectNumber": project.number,
                "disabledServices": sorted(project.disabled_services),
                "iamPolicy": _policy(project.policy),
            }
            for project in projects.values()
        ],
        "workloadIdentityPools": [dict(pool.resource) for pool in resources.pools.values()],
        "workloadIdentityPoolProviders": [
            dict(provider.resource) for provider in resources.providers.values()
        ],
        "serviceAccounts": [
            {
                "name": account.name,
                "uniqueId": account.unique_id,
                **account.resource,
                "iamPolicy": _policy(account.policy),
            }
            for account in accounts.values()
        ],
        "repositories": [
            {
                "name": repository.name,
                "images": sorted(repository.images),
                "iamPolicy": _policy(repository.policy),
            }
            for repository in resources.repositories.values()
        ],
    }


def write(path: Path, resources: Resources) -> None:
    """Replace the file, whole and synced. Raises OSError; the old one is then untouched."""
    content = json.dumps(document(resources), indent=1) + "\n"
    write_whole(path, content.encode(), 0o600)


def restored(path: Path, options: Options) -> Resources | None:
    """What the state file holds; None where it holds nothing yet. Raises ConfigError."""
    saved = _saved(path)
    for key in saved if isinstance(saved, dict) else ():
        if key not in RESOURCES:
            raise ConfigError(f"{path}: {key}", "unknown key", "name a state file of the emulator")
    resources = config.load(saved, str(path), options).resources
    return resources if any(saved.values()) else None


def _saved(path: Path) -> Any:
    """The file's document; an empty one where nothing was saved yet. Raises ConfigError."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", "name a file") from error
    if not content.strip():  # as mktemp makes it
        return {}
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            str(path),
            f"is not JSON ({error})",
            "name a state file of the emulator, or remove it to begin with the configuration",
        ) from error


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Keep other emulators off the state file. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OSError(error.errno, "another emulator uses it", str(path)) from error
        yield
    finally:
        os.close(descriptor)


def _policy(policy: Policy) -> dict[str, Any]:
    return {
        "bindings": [
            {"role": binding.role, "members": sorted(binding.members)} for binding in policy
        ]
    }
