"""render/kubelet.py: the CredentialProviderConfig. The kubelet's own code judges it elsewhere."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from gcp_sa_credential_provider.fleet.plan import ClusterPlan
from gcp_sa_credential_provider.plugin import images
from gcp_sa_credential_provider.render import kubelet
from unit import plans

AUDIENCE = (
    "//iam.googleapis.com/projects/123456789012/locations/global"
    "/workloadIdentityPools/k8s-prod-eu/providers/k8s-prod-eu"
)
EVERY = [
    (name, index) for name, one in plans.FLEETS.items() for index in range(len(one["clusters"]))
]


@pytest.fixture
def cluster(tmp_path: Path) -> ClusterPlan:
    """prod-eu, which pulls from two repositories."""
    return plans.plan("own", tmp_path).clusters[0]


def changed(tmp_path: Path, **values: Any) -> ClusterPlan:
    """The same with other values of the cluster."""
    fleet = plans.fleet("own")
    fleet["clusters"][0] |= values
    return plans.plan_from(fleet, tmp_path).clusters[0]


def comments(text: str) -> str:
    """All comments as one line."""
    return " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))


def test_the_whole_configuration(cluster: ClusterPlan) -> None:
    """Of 1.34, field by field; the file says the same as the document."""
    expected = {
        "apiVersion": "kubelet.config.k8s.io/v1",
        "kind": "CredentialProviderConfig",
        "providers": [
            {
                "name": "gcp-sa-credential-provider",
                "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
                "matchImages": [
                    "europe-docker.pkg.dev/my-project/images/",
                    "us-docker.pkg.dev/other-project/shared/",
                ],
                "defaultCacheDuration": "0s",
                "env": [
                    {"name": "GCP_AUDIENCE", "value": AUDIENCE},
                    {"name": "GCP_REGISTRIES", "value": "europe-docker.pkg.dev,us-docker.pkg.dev"},
                ],
                "tokenAttributes": {
                    "serviceAccountTokenAudience": AUDIENCE,
                    "requireServiceAccount": True,
                    "cacheType": "ServiceAccount",
                },
            }
        ],
    }
    assert kubelet.document(cluster, "1.34") == expected
    assert yaml.safe_load(kubelet.config(cluster, "1.34")) == expected


@pytest.mark.parametrize(
    ("minor", "cache_type"),
    [("1.33", None), ("1.34", "Token"), ("1.35", "Token"), ("1.37", "Token"), ("1.40", "Token")],
)
def test_cache_type_by_minor(tmp_path: Path, minor: str, cache_type: str | None) -> None:
    """1.33 ends on it, all others without it; which one, the description says."""
    cluster = changed(tmp_path, cacheType="Token")
    attributes = kubelet.entry(cluster, minor)["tokenAttributes"]
    assert attributes.get("cacheType") == cache_type


def test_each_file_says_which_kubelets_it_is_for(cluster: ClusterPlan) -> None:
    """Somebody will put the wrong one into place."""
    older, newer = (comments(kubelet.config(cluster, minor)) for minor in ("1.33", "1.34"))
    assert "For a kubelet of 1.33" in older
    assert "A kubelet of 1.34 ends without it." in older
    assert "For kubelets of 1.34 and newer" in newer
    assert "A kubelet of 1.33 does not know it, and ends at its start." in newer


def test_decisions_stand_in_the_file(cluster: ClusterPlan) -> None:
    """With their reasons."""
    said = comments(kubelet.config(cluster, "1.34"))
    assert "matchImages: the repositories of those that may pull" in said
    assert "cacheType: ServiceAccount. One exchange serves all pods" in said


def test_other_entries_come_first_and_unchanged(cluster: ClusterPlan) -> None:
    """They were there before us."""
    other = {"name": "ecr-credential-provider", "matchImages": ["*.dkr.ecr.*.amazonaws.com"]}
    made = yaml.safe_load(kubelet.config(cluster, "1.34", [other]))
    assert made["providers"] == [other, kubelet.entry(cluster, "1.34")]


def test_annotations_are_passed_on_only_where_one_is_used(tmp_path: Path) -> None:
    """The plugin reads it, the kubelet has to hand it over: both or none."""
    edge, lab = plans.plan("impersonation", tmp_path).clusters
    key = "gcp-sa-credential-provider/service-account"
    entry = kubelet.entry(lab, "1.34")
    assert entry["tokenAttributes"]["optionalServiceAccountAnnotationKeys"] == [key]
    assert {"name": "GCP_SERVICE_ACCOUNT_ANNOTATION", "value": key} in entry["env"]
    plain = kubelet.entry(edge, "1.34")
    assert "optionalServiceAccountAnnotationKeys" not in plain["tokenAttributes"]
    assert {"name": "GCP_SERVICE_ACCOUNT", "value": plans.ACCOUNT} in plain["env"]


def test_settings_of_google_reach_the_plugin(tmp_path: Path) -> None:
    """Private endpoints and another universe."""
    fleet = plans.fleet("own")
    fleet["google"] |= {
        "universeDomain": "example.org",
        "endpoints": {
            "sts": "https://sts.private.example.org",
            "iamCredentials": "https://iam.private.example.org",
        },
    }
    fleet["repositories"] = [
        {"name": "images", "location": "west", "imagePrefix": "docker.example.org/u/p/images"},
        {"name": "shared", "location": "west", "imagePrefix": "docker.example.org/u/p/shared"},
    ]
    entry = kubelet.entry(plans.plan_from(fleet, tmp_path).clusters[0], "1.34")
    env = {one["name"]: one["value"] for one in entry["env"]}
    assert env["GCP_AUDIENCE"].startswith("//iam.example.org/projects/123456789012/")
    assert env["GOOGLE_CLOUD_UNIVERSE_DOMAIN"] == "example.org"
    assert env["GCP_STS_ENDPOINT"] == "https://sts.private.example.org"
    assert env["GCP_IAM_CREDENTIALS_ENDPOINT"] == "https://iam.private.example.org"
    assert env["GCP_REGISTRIES"] == "docker.example.org"
    assert entry["matchImages"] == [
        "docker.example.org/u/p/images/",
        "docker.example.org/u/p/shared/",
    ]


@pytest.mark.parametrize(("name", "index"), EVERY)
def test_match_images_stay_within_the_registries(tmp_path: Path, name: str, index: int) -> None:
    """By the kubelet's own rule: what runs the plugin is what it may answer for."""
    entry = kubelet.entry(plans.plan(name, tmp_path).clusters[index], "1.34")
    env = {one["name"]: one["value"] for one in entry["env"]}
    registries = [images.parse_pattern(text) for text in env["GCP_REGISTRIES"].split(",")]
    assert entry["matchImages"]
    for prefix in entry["matchImages"]:
        assert prefix.endswith("/")
        assert "*" not in prefix
        assert "://" not in prefix
        image = images.parse_image(prefix + "app")
        assert images.matches(images.parse_pattern(prefix), image)
        assert any(images.matches(registry, image) for registry in registries)
        # The neighbour whose name begins alike.
        neighbour = images.parse_image(prefix.rstrip("/") + "-too/app")
        assert not images.matches(images.parse_pattern(prefix), neighbour)
