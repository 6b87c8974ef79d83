"""The emulator's configuration: a YAML or JSON document to `Resources` and start-up settings.

Imports PyYAML and the resource rules. The document holds Google's own REST resources; its
reference is docs/emulator.md.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import yaml

from gcp_sa_credential_provider.emulator.document import Node
from gcp_sa_credential_provider.emulator.faults import Rule, rule_from
from gcp_sa_credential_provider.emulator.options import Options, options_from
from gcp_sa_credential_provider.emulator.principals import Binding, Policy
from gcp_sa_credential_provider.emulator.rejection import ConfigError, Invalid
from gcp_sa_credential_provider.emulator.resources import (
    Pool,
    Project,
    Provider,
    Repository,
    Resources,
    ServiceAccount,
    pool_from,
    provider_from,
    unique_id,
)

_T = TypeVar("_T")

_MEMBER = re.compile(
    r"allUsers|allAuthenticatedUsers|(principal|principalSet)://\S+|(serviceAccount|user|group|domain):\S+"
)
_POOL = r"projects/[^/]+/locations/global/workloadIdentityPools/[^/]+"
_ACCOUNT = r"projects/[^/]+/serviceAccounts/[^/]+@[^/]+"
_SHARED = ("name", "displayName", "description", "disabled", "state", "expireTime")
_REPOSITORY = r"projects/[^/]+/locations/[^/]+/repositories/[^/]+"


@dataclass(frozen=True)
class Config:
    """A loaded configuration."""

    resources: Resources
    faults: tuple[Rule, ...] = ()
    proxy: Mapping[str, str] | None = None
    """`{}` or `{username, password}` for a CONNECT proxy; None for none."""


def read(path: Path) -> Config:
    """Load a file. Raises ConfigError; touches nothing else."""
    return load(document(path), str(path))


def document(path: Path) -> Any:
    """A file's document; an empty file is an empty mapping. Raises ConfigError."""
    try:
        content = yaml.safe_load(path.read_bytes())
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read ({error.strerror})", "name a file") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        where = getattr(error, "problem_mark", None)
        line = f", line {where.line + 1}" if where else ""
        raise ConfigError(
            f"{path}{line}",
            f"is not YAML ({getattr(error, 'problem', None) or error})",
            "see examples/emulator-config.yaml",
        ) from error
    return {} if content is None else content


def load(content: Any, source: str = "config", options: Options | None = None) -> Config:
    """Load a document (plain lists, dicts and scalars). Raises ConfigError.

    `source` names the document in errors; `options` takes the place of the document's own.
    """
    root = Node(content, source)
    root.only(
        "projects",
        "workloadIdentityPools",
        "workloadIdentityPoolProviders",
        "serviceAccounts",
        "repositories",
        "options",
        "faults",
        "proxy",
    )
    options = options or options_from(root.child("options"))
    projects = _projects(root)
    pools = _pools(root, projects)
    return Config(
        Resources(
            projects,
            pools,
            _providers(root, projects, pools, options),
            _service_accounts(root, projects),
            _repositories(root, projects),
            options,
        ),
        tuple(_fault(node) for node in root.items("faults")),
        _proxy(root),
    )


def _projects(root: Node) -> dict[str, Project]:
    projects: dict[str, Project] = {}
    for node in root.items("projects"):
        node.only("projectId", "projectNumber", "iamPolicy", "disabledServices")
        project = Project(
            node.text("projectId"),
            node.text("projectNumber"),
            _policy(node),
            frozenset(node.texts("disabledServices")),
        )
        if not project.number.isdecimal():
            raise ConfigError(
                f"{node.where}: projectNumber",
                f"must be digits (not {project.number!r})",
                "take it from `gcloud projects describe`",
            )
        projects[project.id] = projects[project.number] = project
    return projects


def _pools(root: Node, projects: Mapping[str, Project]) -> dict[str, Pool]:
    pools = {}
    for node in root.items("workloadIdentityPools"):
        node.only(*_SHARED, "sessionDuration", "mode")
        name = node.named(_POOL, "projects/NUMBER/locations/global/workloadIdentityPools/POOL")
        name = _by_project(node, name, projects, "number")
        resource = _checked(node)
        if "mode" in node.value:
            resource["mode"] = node.choice("mode", "FEDERATION_ONLY", "MODE_UNSPECIFIED")
        pools[name] = _accepted(node, partial(pool_from, name, resource))
    return pools


def _providers(
    root: Node, projects: Mapping[str, Project], pools: Mapping[str, Pool], options: Options
) -> dict[str, Provider]:
    providers = {}
    for node in root.items("workloadIdentityPoolProviders"):
        node.only(*_SHARED, "oidc", "attributeMapping", "attributeCondition")
        name = node.named(f"{_POOL}/providers/[^/]+", "POOL_NAME/providers/PROVIDER")
        name = _by_project(node, name, projects, "number")
        if (pool := name.rpartition("/providers/")[0]) not in pools:
            raise ConfigError(
                f"{node.where}: name", f"the pool {pool} does not exist", "declare it above"
            )
        oidc, mapping = node.child("oidc"), node.child("attributeMapping")
        oidc.only("issuerUri", "jwksJson", "allowedAudiences")
        resource = {
            **_checked(node),
            "attributeCondition": node.text("attributeCondition", ""),
            "attributeMapping": {key: mapping.text(key) for key in mapping.value},
            "oidc": {
                "issuerUri": oidc.text("issuerUri"),
                "jwksJson": oidc.text("jwksJson", ""),
                "allowedAudiences": oidc.texts("allowedAudiences"),
            },
        }
        providers[name] = _accepted(node, partial(provider_from, name, resource, options))
    return providers


def _service_accounts(root: Node, projects: Mapping[str, Project]) -> dict[str, ServiceAccount]:
    accounts: dict[str, ServiceAccount] = {}
    for node in root.items("serviceAccounts"):
        node.only("name", "email", "uniqueId", "displayName", "description", "iamPolicy")
        name = node.named(_ACCOUNT, "projects/PROJECT/serviceAccounts/EMAIL")
        project = _by_project(node, name, projects, "id").split("/")[1]
        email = name.rpartition("/")[2]
        account = ServiceAccount(
            email,
            project,
            node.text("uniqueId", "") or unique_id(email),
            _policy(node),
            {key: node.text(key) for key in ("displayName", "description") if key in node.value},
        )
        accounts[account.email] = accounts[account.unique_id] = account
    return accounts


def _repositories(root: Node, projects: Mapping[str, Project]) -> dict[str, Repository]:
    repositories = {}
    for node in root.items("repositories"):
        node.only("name", "format", "images", "iamPolicy")
        node.choice("format", "DOCKER")
        name = node.named(_REPOSITORY, "projects/PROJECT/locations/LOCATION/repositories/NAME")
        name = _by_project(node, name, projects, "id")
        images = node.texts("images") or ["hello:latest"]
        for image in images:
            if not re.fullmatch(r"[a-z0-9][a-z0-9._/-]*:[\w][\w.-]{0,127}", image):
                raise ConfigError(
                    f"{node.where}: images", f"{image!r} is not IMAGE:TAG", "write app:v1"
                )
        repositories[name] = Repository(name, _policy(node), frozenset(images))
    return repositories


def _by_project(node: Node, name: str, projects: Mapping[str, Project], wanted: str) -> str:
    """The name with the project's id or number, whichever Google uses for this resource."""
    head, written, rest = name.split("/", 2)
    if written not in projects:
        raise ConfigError(
            f"{node.where}: name", f"the project {written} does not exist", "add it to projects"
        )
    project = projects[written]
    return f"{head}/{project.number if wanted == 'number' else project.id}/{rest}"


def _policy(node: Node) -> Policy:
    policy = node.child("iamPolicy")
    policy.only("bindings", "etag", "version")
    bindings = []
    for binding in policy.items("bindings"):
        binding.only("role", "members")
        role, members = binding.text("role"), binding.texts("members")
        check_role(f"{binding.where}: role", role)
        for member in members:
            check_member(f"{binding.where}: members", member)
        bindings.append(Binding(role, frozenset(members)))
    return tuple(bindings)


def check_role(where: str, role: str) -> None:
    """Raise ConfigError unless it has the form of a role's name."""
    if not re.fullmatch(r"(projects/[^/]+/|organizations/[^/]+/)?roles/[\w.]+", role):
        raise ConfigError(
            where,
            f"{role!r} is not a role name",
            "write roles/artifactregistry.reader or roles/iam.workloadIdentityUser",
        )


def check_member(where: str, member: str) -> None:
    """Raise ConfigError unless it has the form of an IAM member."""
    if not _MEMBER.fullmatch(member):
        raise ConfigError(
            where,
            f"{member!r} is not an IAM member",
            "write principal://…, principalSet://… or serviceAccount:EMAIL",
        )


def _fault(node: Node) -> Rule:
    return _accepted(node, partial(rule_from, node.value))


def _proxy(root: Node) -> Mapping[str, str] | None:
    if "proxy" not in root.value:
        return None
    node = root.child("proxy")
    node.only("username", "password")
    return {key: node.text(key) for key in ("username", "password")} if node.value else {}


def _checked(node: Node) -> dict[str, Any]:
    """The plain members that pools and providers share, with their types checked."""
    resource: dict[str, Any] = {
        "disabled": node.flag("disabled"),
        "state": node.choice("state", "ACTIVE", "DELETED"),
        "displayName": node.text("displayName", ""),
        "description": node.text("description", ""),
    }
    for key in ("sessionDuration", "expireTime"):
        if key in node.value:
            resource[key] = node.text(key)
    if "expireTime" in resource and not _is_timestamp(resource["expireTime"]):
        raise ConfigError(
            f"{node.where}: expireTime",
            f"must be a time with its zone (not {resource['expireTime']!r})",
            'write it as in "2027-01-31T12:00:00Z"',
        )
    return resource


def _is_timestamp(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _accepted(node: Node, build: Callable[[], _T]) -> _T:
    """Build a resource; what Google would refuse becomes an error with its place."""
    try:
        return build()
    except Invalid as error:
        raise ConfigError(
            f"{node.where}: {error.field}", error.text.rstrip("."), error.fix
        ) from error
