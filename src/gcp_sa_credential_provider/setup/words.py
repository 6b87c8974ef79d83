"""What operators write on the command line, or answer: texts to parts of fleet.yaml.

Pure. What a single value may be stands in fleet.values; a text that is refused raises ValueError
with the reason and the remedy, for argparse and for the terminal alike.
"""

import re
from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from gcp_sa_credential_provider.fleet import values
from gcp_sa_credential_provider.fleet.model import Repository

_PKG_DEV = "-docker.pkg.dev"


@dataclass(frozen=True)
class Pull:
    """Who may pull, of the cluster in question; both None: the whole cluster."""

    namespace: str | None
    service_account: str | None
    google_service_account: str | None = None


def cluster_name(text: str) -> str:
    """A name for files and Google's ids."""
    return _value(values.ClusterName, text)


def suggested_name(context: str) -> str | None:
    """A cluster's name out of a context's: arn:aws:eks:...:cluster/NAME, admin@NAME, NAME."""
    last = re.split(r"[/@_:]", context.lower())[-1].replace(".", "-").strip("-")
    try:
        return cluster_name(last) if last != "default" else None
    except ValueError:
        return None


def project_id(text: str) -> str:
    """A Google project's id."""
    return _value(values.ProjectId, text)


def project_number(text: str) -> str:
    """A Google project's number."""
    return _value(values.ProjectNumber, text)


def pool(text: str) -> str:
    """A pool's id."""
    return _value(values.FederationId, text)


def account(text: str) -> str:
    """The e-mail of a Google service account."""
    return _value(values.AccountEmail, text)


def minor(text: str) -> str:
    """A Kubernetes minor; of a whole version the rest is cut."""
    found = re.fullmatch(r"v?(\d+\.\d+)\.\d+\S*", text)
    return _value(values.Minor, found[1] if found else text)


def repository(text: str) -> Repository:
    """A repository, by the beginning that its images share: europe-docker.pkg.dev/PROJECT/NAME."""
    host, *path = text.removesuffix("/").split("/")
    if path and "." in path[0] and ":" not in path[0]:
        # A project of a domain, example.com:my-project, is a path of two parts.
        path[:2] = [":".join(path[:2])]
    if host in values.GCR and len(path) == 1 and "@" not in text:
        return Repository(name=host, location=values.GCR[host], project=project_id(path[0]))
    if "@" in text or not host.endswith(_PKG_DEV) or len(path) != 2:
        said = "it" if "@" in text else repr(text)  # no password is quoted
        raise ValueError(
            f"{said} is not LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, nor gcr.io/PROJECT"
        )
    return Repository(
        name=_value(values.RepositoryId, path[1]),
        location=_value(values.Location, host.removesuffix(_PKG_DEV)),
        project=project_id(path[0]),
    )


def pull(text: str) -> Pull:
    """NAMESPACE/SERVICEACCOUNT, NAMESPACE, or * for the whole cluster; then =ACCOUNT if wanted."""
    who, equals, impersonated = text.partition("=")
    namespace, slash, name = who.partition("/")
    if who == "*" and not equals:
        return Pull(None, None)
    if equals and not slash:
        raise ValueError(f"{text!r}: an account to impersonate belongs to one ServiceAccount")
    return Pull(
        _value(values.Namespace, namespace),
        _value(values.ServiceAccountName, name) if slash else None,
        account(impersonated) if equals else None,
    )


def _value(kind: Any, text: str) -> str:
    """The text, if it is such a value; ValueError with message and fix if not."""
    try:
        checked: str = TypeAdapter(kind).validate_python(text)
    except ValidationError as error:
        said = error.errors()[0].get("ctx", {})
        raise ValueError(f"{said.get('message', 'not understood')}; {said.get('fix')}") from None
    return checked
