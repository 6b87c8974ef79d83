"""render/distributions: what holds for every distribution, minor and form."""

import argparse
import re
import shlex

import pytest
import yaml

from gcp_sa_credential_provider.cli import node
from gcp_sa_credential_provider.fleet.model import Distribution
from gcp_sa_credential_provider.render import distributions, kubelet
from gcp_sa_credential_provider.version import VERSION
from kubelet.rendered_configs import found
from unit.node_groups import DISTRIBUTIONS, FORMS, cluster, files

NOTHING_FOR = "bottlerocket"
NEEDS_1_34 = "talos"
ONE_FILE_ONLY = {"talos", "openshift"}
"""Their kubelets' flags belong to the system."""
PLATFORM_ENTRIES = {"eks", "openshift"}
GATE = "KubeletServiceAccountTokenForCredentialProviders"
BY_HAND = ("k3s", "rke2", "kubeadm", "kubelet", "k0s", "microk8s")
ALL = pytest.mark.parametrize("distribution", DISTRIBUTIONS)
ALL_FORMS = pytest.mark.parametrize(("minor", "directory"), FORMS)


def plain_texts(part: yaml.Node | None) -> list[str]:
    """Values that are texts by PyYAML's reading, and that another reader may take otherwise."""
    if isinstance(part, yaml.MappingNode):
        return [text for _, value in part.value for text in plain_texts(value)]
    if isinstance(part, yaml.SequenceNode):
        return [text for value in part.value for text in plain_texts(value)]
    assert isinstance(part, yaml.ScalarNode)
    is_text = part.tag == "tag:yaml.org,2002:str"
    return [part.value] if is_text and part.style not in ('"', "|") else []


@ALL
@ALL_FORMS
def test_configurations_of_every_group(
    distribution: Distribution, minor: str, *, directory: bool
) -> None:
    """Ours is what the minor reads, wherever it is kept; a group of 1.33 has the next too."""
    made = cluster(distribution, minor, directory=directory)
    configs = found(files(made))
    older = {one.where for one in configs if one.is_alpha}
    newer = {one.where for one in configs if not one.is_alpha}
    assert bool(older) == (minor == "1.33" and distribution not in {NOTHING_FOR, NEEDS_1_34})
    if minor == "1.33" and distribution == "openshift":
        assert newer == set()
    else:
        assert bool(newer) == (distribution != NOTHING_FOR)
    for config in configs:
        expected = kubelet.entry(made, "1.33" if config.is_alpha else "1.34")
        assert config.entry == expected, config.where
        if distribution not in PLATFORM_ENTRIES:
            assert config.document["providers"] == [expected], config.where


@ALL
@ALL_FORMS
def test_the_drop_in_has_our_entry_alone(
    distribution: Distribution, minor: str, *, directory: bool
) -> None:
    """The distribution's own file stands beside it, and a name may stand once in a directory."""
    made = files(cluster(distribution, minor, directory=directory))
    drop_in = made.get("50-gcp-sa-credential-provider.yaml")
    assert (drop_in is not None) == (
        directory and distribution not in {NOTHING_FOR, *ONE_FILE_ONLY}
    )
    if drop_in is not None:
        assert len(yaml.safe_load(drop_in)["providers"]) == 1


@ALL
@ALL_FORMS
def test_every_yaml_file_parses(distribution: Distribution, minor: str, *, directory: bool) -> None:
    """And says that it is generated, in its first line; so does every other file."""
    for gate in {minor == "1.33", False}:
        made = cluster(distribution, minor, directory=directory, gate=gate)
        for name, text in files(made).items():
            if name.endswith(".yaml"):
                documents = list(yaml.compose_all(text))
                assert documents, name
                assert [plain_texts(one) for one in documents] == [[] for _ in documents], name
            assert "made by gcp-sa-credential-provider " in text, name
            assert text.endswith("\n"), name
            assert text.isprintable() or text.isascii() or name == "README.md", name


@ALL
@ALL_FORMS
def test_the_gate_is_for_1_33_alone(
    distribution: Distribution, minor: str, *, directory: bool
) -> None:
    """A later API server or kubelet may not even know its name."""
    made = files(cluster(distribution, minor, directory=directory))
    for name, text in made.items():
        if name != "README.md" and minor != "1.33":
            assert GATE not in text, name


@ALL
def test_every_group_of_1_33_is_told_of_the_gate(distribution: Distribution) -> None:
    """A kubelet that has our entry without the gate ends at its start."""
    told = any(GATE in text for text in files(cluster(distribution, "1.33")).values())
    assert told == (distribution not in {NOTHING_FOR, NEEDS_1_34})


def test_aks_at_1_33_is_not_for_the_hand() -> None:
    """The installer sets the gate with the entry, and takes both away."""
    older, newer = (files(cluster("aks", minor))["README.md"] for minor in ("1.33", "1.34"))
    entry = "Add the entry of `credential-provider-config.yaml` to `providers` of"
    assert (entry in older, entry in newer) == (False, True)
    assert "node install --config credential-provider-config.yaml\n" in older
    program = f"./gcp-sa-credential-provider-{VERSION}-linux-amd64"
    assert f"1. `{program} node uninstall`, with the same file." in older


@pytest.mark.parametrize("distribution", ["k3s", "rke2", "kubeadm", "kubelet", "flatcar"])
def test_entries_of_others_outlive_the_upgrade(distribution: Distribution) -> None:
    """At 1.33 the script puts one file in place now and the other later: both need them."""
    older, newer = (files(cluster(distribution, minor))["README.md"] for minor in ("1.33", "1.34"))
    assert "both our files" in older
    assert "both our files" not in newer
    if distribution in {"k3s", "rke2"}:
        assert "and keep a copy of yours, and leave their programs" in older
        assert "put your copy back, if there was one" in older.partition("## Take it back")[2]
        assert "your copy" not in newer


@ALL
@ALL_FORMS
def test_readme(distribution: Distribution, minor: str, *, directory: bool) -> None:
    """Names every file, warns, and says what nobody has tried."""
    made = files(cluster(distribution, minor, directory=directory))
    readme = made.pop("README.md")
    assert readme.startswith("<!-- made by gcp-sa-credential-provider ")
    assert "# prod-eu, nodes workers: " in readme
    assert f", Kubernetes {minor}\n" in readme
    if distribution == NOTHING_FOR:
        assert "**This does not work on Bottlerocket**" in readme
        assert made == {}
        return
    assert "**Not verified** on a running installation by this project:\n\n- " in readme
    assert "A fault in the configuration ends the kubelet at its start." in readme
    for heading in ("## Restart", "## Check", "## Take it back", "## Issuer and keys"):
        assert f"\n{heading}\n" in readme
    for name in made:
        assert name.rpartition("/")[2] in readme or "PLATFORM" in readme, name


@pytest.mark.parametrize("distribution", [one for one in DISTRIBUTIONS if one != NOTHING_FOR])
def test_readme_of_1_33_says_how_it_becomes_1_34(distribution: Distribution) -> None:
    """And a later one has nothing to say."""
    older, newer = (files(cluster(distribution, minor))["README.md"] for minor in ("1.33", "1.34"))
    assert "## When Kubernetes is upgraded\n\nA kubelet of 1.33 does not start" in older
    assert "## When Kubernetes is upgraded\n\nNothing changes" in newer


@pytest.mark.parametrize("directory", [False, True])
@pytest.mark.parametrize(
    "distribution", ["k3s", "rke2", "kubeadm", "kubelet", "k0s", "microk8s", "flatcar", "eks"]
)
def test_the_installer_where_it_can_do_it_all(
    distribution: Distribution, *, directory: bool
) -> None:
    """With arguments that it has, and a file that is there; first without changing anything."""
    made = files(cluster(distribution, directory=directory))
    parser = argparse.ArgumentParser()
    node.add(parser)
    before = f"./gcp-sa-credential-provider-{VERSION}-linux-amd64 node "
    lines = made["README.md"].splitlines()
    first, second = (
        parser.parse_args(shlex.split(line.removeprefix(before)))
        for line in lines
        if line.startswith(before)
    )
    assert first.node_command == second.node_command == "install"
    assert (first.dry_run, second.dry_run) == (True, False)
    assert first.config == second.config
    assert kubelet.PLUGIN in made[str(first.config)]


@pytest.mark.parametrize("distribution", BY_HAND)
def test_programs_for_every_architecture(distribution: Distribution) -> None:
    """By the names that a build gives them."""
    readme = files(cluster(distribution))["README.md"]
    names = [f"`gcp-sa-credential-provider-{VERSION}-linux-{one}`" for one in ("amd64", "arm64")]
    assert f"| the static file, {' or '.join(names)} | " in readme


@pytest.mark.parametrize("architectures", [("amd64", "arm64"), ("arm64",)])
def test_the_installer_is_called_as_it_is_built(architectures: tuple[str, ...]) -> None:
    """A fresh node has no command of the plain name."""
    made = cluster("k3s")
    group = made.nodes[0].model_copy(update={"architectures": architectures})
    readme = distributions.files(made, group)["README.md"]
    program = f"./gcp-sa-credential-provider-{VERSION}-linux-{architectures[0]}"
    assert re.findall(r"(\S+) node install\b", readme) == [program, program]


@pytest.mark.parametrize("distribution", sorted({*DISTRIBUTIONS} - {NOTHING_FOR}))
def test_where_the_program_comes_from(distribution: Distribution) -> None:
    """It is not rendered."""
    readme = files(cluster(distribution))["README.md"]
    assert "`make static` in a checkout of this project" in readme


@pytest.mark.parametrize("distribution", ["talos", "openshift", "bottlerocket", "aks", "kind"])
def test_no_installer_where_it_would_not_last(distribution: Distribution) -> None:
    """The system owns these nodes."""
    assert "node install" not in files(cluster(distribution))["README.md"]
