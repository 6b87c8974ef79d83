"""What operators may write for a repository, a puller, a name."""

import pytest

from gcp_sa_credential_provider.fleet.model import Repository
from gcp_sa_credential_provider.setup import words
from gcp_sa_credential_provider.setup.words import Pull

ACCOUNT = "puller@my-project.iam.gserviceaccount.com"


@pytest.mark.parametrize(
    ("text", "repository"),
    [
        ("europe-docker.pkg.dev/my-project/images", ("images", "europe", "my-project")),
        ("us-east1-docker.pkg.dev/my-project/images/", ("images", "us-east1", "my-project")),
        ("gcr.io/my-project", ("gcr.io", "us", "my-project")),
        ("eu.gcr.io/my-project", ("eu.gcr.io", "europe", "my-project")),
        ("us-docker.pkg.dev/example.com/my-project/base", ("base", "us", "example.com:my-project")),
        ("gcr.io/example.com/my-project", ("gcr.io", "us", "example.com:my-project")),
    ],
)
def test_repository(text: str, repository: tuple[str, str, str]) -> None:
    name, location, project = repository
    assert words.repository(text) == Repository(name=name, location=location, project=project)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("images", "is not LOCATION-docker.pkg.dev/PROJECT/REPOSITORY, nor gcr.io/PROJECT"),
        ("https://europe-docker.pkg.dev/my-project/images", "is not LOCATION-docker.pkg.dev"),
        ("europe-docker.pkg.dev/my-project/images/app", "is not LOCATION-docker.pkg.dev"),
        ("europe-docker.pkg.dev/123456/images", "is a project number"),
        ("gcr.io/my-project/app", "is not LOCATION-docker.pkg.dev"),
        ("us-docker.pkg.dev/example.com/my-project", "is not LOCATION-docker.pkg.dev"),
        ("gcr.io/example.com", "is not a project id"),
    ],
)
def test_no_repository(text: str, said: str) -> None:
    with pytest.raises(ValueError, match="is ") as caught:
        words.repository(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "https://me:secret@europe-docker.pkg.dev/my-project/images",
        "me:secret@europe-docker.pkg.dev/my-project/images",
        "me:secret@gcr.io/my-project",
        "gcr.io/me:secret@my-project",
    ],
)
def test_no_password_is_quoted(text: str) -> None:
    with pytest.raises(ValueError, match=r"^it is not LOCATION-docker\.pkg\.dev") as caught:
        words.repository(text)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "pull"),
    [
        ("backend/default", Pull("backend", "default")),
        ("backend/ci.robot", Pull("backend", "ci.robot")),
        ("backend", Pull("backend", None)),
        ("*", Pull(None, None)),
        (f"backend/default={ACCOUNT}", Pull("backend", "default", ACCOUNT)),
    ],
)
def test_pull(text: str, pull: Pull) -> None:
    assert words.pull(text) == pull


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not the name of a namespace"),
        ("Backend", "has capital letters"),
        ("backend/", "is not the name of a ServiceAccount"),
        ("*/default", "IAM has none for namespaces"),
        ("backend/*", "IAM has none for ServiceAccounts"),
        (f"backend={ACCOUNT}", "belongs to one ServiceAccount"),
        ("*=a", "belongs to one ServiceAccount"),
        ("backend/a=b", "is no service account"),
    ],
)
def test_no_pull(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        words.pull(text)


@pytest.mark.parametrize(
    ("context", "name"),
    [
        ("arn:aws:eks:eu-west-1:123456789012:cluster/prod", "prod"),
        ("gke_my-project_europe-west4_prod", "prod"),
        ("kubernetes-admin@prod.eu", "prod-eu"),
        ("Prod", "prod"),
        ("default", None),
        ("", None),
    ],
)
def test_suggested_name(context: str, name: str | None) -> None:
    assert words.suggested_name(context) == name


@pytest.mark.parametrize(("text", "minor"), [("1.34", "1.34"), ("v1.34.1+k3s1", "1.34")])
def test_minor(text: str, minor: str) -> None:
    assert words.minor(text) == minor
