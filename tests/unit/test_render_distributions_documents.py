"""render/distributions: what each distribution's own documents hold."""

from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from gcp_sa_credential_provider.fleet.model import Distribution
from gcp_sa_credential_provider.render import kubelet
from gcp_sa_credential_provider.render.distributions import eks, openshift
from kubelet.rendered_configs import found
from unit.node_groups import cluster, files

GATE = "KubeletServiceAccountTokenForCredentialProviders=true"
CONFIG = "/etc/kubernetes/credential-providers/config.yaml"
DIRECTORY = "/etc/kubernetes/credential-providers/config.d"
DROP_IN = "50-gcp-sa-credential-provider.yaml"
UNIT_DROP_IN = "50-gcp-sa-credential-provider.conf"
PROGRAMS = "/opt/credential-providers/bin"
KUBELET_FLAGS = [
    f"--image-credential-provider-config={CONFIG}",
    f"--image-credential-provider-bin-dir={PROGRAMS}",
]
DIRECTORY_FLAGS = [f"--image-credential-provider-config={DIRECTORY}", KUBELET_FLAGS[1]]
FORMS = [
    ("1.33", False, [*KUBELET_FLAGS, f"--feature-gates={GATE}"]),
    ("1.34", False, KUBELET_FLAGS),
    ("1.34", True, DIRECTORY_FLAGS),
]
ALL_FORMS = pytest.mark.parametrize(("minor", "directory", "flags"), FORMS)


def parsed(text: str) -> list[Any]:
    """All documents of a YAML file."""
    return list(yaml.safe_load_all(text))


def arguments(flags: list[str]) -> list[dict[str, str]]:
    """Flags as kubeadm's v1beta4 has them."""
    return [
        dict(zip(("name", "value"), flag.removeprefix("--").split("=", 1), strict=True))
        for flag in flags
    ]


@pytest.mark.parametrize("distribution", ["kubeadm", "kubelet", "flatcar"])
@ALL_FORMS
def test_systemd_drop_in(
    distribution: Distribution, minor: str, flags: list[str], *, directory: bool
) -> None:
    """The flags last on the command line; on 1.33 the choice before each start."""
    text = files(cluster(distribution, minor, directory=directory))[UNIT_DROP_IN]
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    select = "ExecStartPre=-/bin/sh /etc/kubernetes/credential-providers/select-config.sh"
    assert lines == [
        "[Service]",
        f'Environment="KUBELET_EXTRA_ARGS={" ".join(flags)}"',
        *([select] if minor == "1.33" else []),
    ]


@ALL_FORMS
def test_kubeadm_new_nodes(minor: str, flags: list[str], *, directory: bool) -> None:
    """Both init and join, in the form of v1beta4."""
    made = files(cluster("kubeadm", minor, directory=directory))
    assert [
        (one["apiVersion"], one["kind"], one["nodeRegistration"]["kubeletExtraArgs"])
        for one in parsed(made["kubeadm-config.yaml"])
    ] == [
        ("kubeadm.k8s.io/v1beta4", "InitConfiguration", arguments(flags)),
        ("kubeadm.k8s.io/v1beta4", "JoinConfiguration", arguments(flags)),
    ]
    assert "patches/kube-apiserver+json.yaml" not in made


def test_kubeadm_api_servers_gate() -> None:
    """For a new cluster and as a patch for a cluster that is there."""
    made = files(cluster("kubeadm", "1.33", gate=True))
    *_, whole = parsed(made["kubeadm-config.yaml"])
    assert whole["kind"] == "ClusterConfiguration"
    assert whole["apiServer"]["extraArgs"] == [{"name": "feature-gates", "value": GATE}]
    assert parsed(made["patches/kube-apiserver+json.yaml"]) == [
        [
            {
                "op": "add",
                "path": "/spec/containers/0/command/-",
                "value": f"--feature-gates={GATE}",
            }
        ]
    ]


@pytest.mark.parametrize("gate", [False, True])
@ALL_FORMS
def test_cluster_api(minor: str, flags: list[str], *, directory: bool, gate: bool) -> None:
    """Every file at its place with its content, and the flags for workers and control plane."""
    gate = gate and minor == "1.33"
    made = files(cluster("cluster-api", minor, directory=directory, gate=gate))
    (template,) = parsed(made["kubeadm-config-template.yaml"])
    assert template["kind"] == "KubeadmConfigTemplate"
    spec = template["spec"]["template"]["spec"]
    assert spec["joinConfiguration"]["nodeRegistration"]["kubeletExtraArgs"] == arguments(flags)
    stored = {one["path"]: one for one in spec["files"]}
    folder = "/etc/kubernetes/credential-providers"
    if directory:
        assert stored.keys() == {f"{DIRECTORY}/{DROP_IN}"}
    elif minor != "1.33":
        assert stored.keys() == {CONFIG}
    else:
        names = ("credential-provider-config.yaml", "credential-provider-config-1.34.yaml")
        assert stored.keys() == {
            *(f"{folder}/{name}" for name in (*names, "select-config.sh")),
            f"/etc/systemd/system/kubelet.service.d/{UNIT_DROP_IN}",
        }
        for name in names:
            assert stored[f"{folder}/{name}"]["content"] == made[name]
        # kubeadm starts the kubelet: config.yaml has to be there before.
        assert spec["preKubeadmCommands"] == [
            f"sh {folder}/select-config.sh",
            "systemctl daemon-reload",
        ]
    assert {(one["owner"], one["permissions"]) for one in stored.values()} == {
        ("root:root", "0644")
    }
    (part,) = parsed(made["kubeadm-control-plane-part.yaml"])
    assert part["files"] == spec["files"]
    assert part["initConfiguration"] == part["joinConfiguration"] == spec["joinConfiguration"]
    expected = {"apiServer": {"extraArgs": [{"name": "feature-gates", "value": GATE}]}}
    assert part.get("clusterConfiguration") == (expected if gate else None)


@ALL_FORMS
def test_kind(minor: str, flags: list[str], *, directory: bool) -> None:
    """Mounts where the flags look, for every role and both forms of kubeadm's configuration."""
    (document,) = parsed(files(cluster("kind", minor, directory=directory))["kind-config.yaml"])
    target = f"{DIRECTORY}/{DROP_IN}" if directory else CONFIG
    source = f"./{DROP_IN}" if directory else "./credential-provider-config.yaml"
    assert [one["role"] for one in document["nodes"]] == ["control-plane", "worker"]
    wanted = arguments([flag for flag in flags if "feature-gates" not in flag])
    for one in document["nodes"]:
        mounts = {mount["hostPath"]: mount["containerPath"] for mount in one["extraMounts"]}
        assert mounts == {
            "./gcp-sa-credential-provider": f"{PROGRAMS}/gcp-sa-credential-provider",
            source: target,
        }
        patches = [yaml.safe_load(text) for text in one["kubeadmConfigPatches"]]
        assert {
            (patch["apiVersion"], patch["kind"]): patch["nodeRegistration"]["kubeletExtraArgs"]
            for patch in patches
        } == {
            (f"kubeadm.k8s.io/{version}", f"{kind}Configuration"): arguments_of_version
            for kind in ("Init", "Join")
            for version, arguments_of_version in (
                ("v1beta3", {one["name"]: one["value"] for one in wanted}),
                ("v1beta4", wanted),
            )
        }
    gates = {"KubeletServiceAccountTokenForCredentialProviders": True} if minor == "1.33" else None
    assert document.get("featureGates") == gates


@ALL_FORMS
def test_butane(minor: str, flags: list[str], *, directory: bool) -> None:
    """The same files as beside it, the program, and the drop-in of the unit."""
    made = files(cluster("flatcar", minor, directory=directory))
    (document,) = parsed(made["butane.yaml"])
    assert (document["variant"], document["version"]) == ("flatcar", "1.1.0")
    stored = {one["path"]: one for one in document["storage"]["files"]}
    program = stored.pop(f"{PROGRAMS}/gcp-sa-credential-provider")
    assert program["mode"] == 0o755
    assert program["contents"] == {"local": "gcp-sa-credential-provider"}
    assert {one["mode"] for one in stored.values()} == {0o644}
    here = {name: text for name, text in made.items() if name.startswith(("5", "c", "s"))}
    here.pop(UNIT_DROP_IN)
    assert sorted(one["contents"]["inline"] for one in stored.values()) == sorted(here.values())
    if directory:
        assert stored.keys() == {f"{DIRECTORY}/{DROP_IN}"}
    (unit,) = document["systemd"]["units"]
    assert unit["name"] == "kubelet.service"
    assert unit["dropins"] == [{"name": UNIT_DROP_IN, "contents": made[UNIT_DROP_IN]}]
    assert flags[0] in made[UNIT_DROP_IN]


@pytest.mark.parametrize("minor", ["1.33", "1.34", "1.37"])
def test_talos(minor: str) -> None:
    """Both forms hold the configuration as a mapping, of 1.34 always: Talos adds a cacheType."""
    made = cluster("talos", minor)
    rendered = files(made)
    expected = kubelet.document(made, "1.34")
    (until,) = parsed(rendered["machine-config-until-1.13.yaml"])
    assert until == {"machine": {"kubelet": {"credentialProviderConfig": expected}}}
    (since,) = parsed(rendered["machine-config-from-1.14.yaml"])
    assert since == {
        "apiVersion": "v1alpha1",
        "kind": "KubeCredentialProviderConfig",
        "configuration": expected,
    }
    assert ("**Not with kubelets of 1.33**" in rendered["README.md"]) == (minor == "1.33")
    (manifest,) = parsed(rendered["extension/manifest.yaml"])
    assert manifest["version"] == "v1alpha1"
    assert manifest["metadata"]["name"] == "gcp-sa-credential-provider"
    assert (
        "COPY gcp-sa-credential-provider-$TARGETARCH"
        " /rootfs/usr/local/lib/kubelet/credentialproviders/gcp-sa-credential-provider"
    ) in rendered["extension/Dockerfile"].splitlines()


@pytest.mark.parametrize("minor", ["1.33", "1.34"])
@pytest.mark.parametrize("platform", ["ecr", "acr", "gcr"])
def test_machine_config(minor: str, platform: str) -> None:
    """The platform's file with the platform's entries and ours behind them."""
    made = cluster("openshift", minor)
    (document,) = parsed(files(made)[f"machine-config-{platform}.yaml"])
    assert document["kind"] == "MachineConfig"
    assert document["metadata"] == {
        "name": "99-workers-gcp-sa-credential-provider",
        "labels": {"machineconfiguration.openshift.io/role": "workers"},
    }
    assert document["spec"]["config"]["ignition"]["version"] == "3.4.0"
    (stored,) = document["spec"]["config"]["storage"]["files"]
    assert (
        stored["path"]
        == f"/etc/kubernetes/credential-providers/{platform}-credential-provider.yaml"
    )
    assert (stored["mode"], stored["overwrite"]) == (0o644, True)
    source = stored["contents"]["source"]
    assert source.startswith("data:,")
    providers = yaml.safe_load(unquote(source.removeprefix("data:,")))["providers"]
    assert tuple(providers[:1]) == openshift.PLATFORMS[platform]
    names = [one["name"] for one in providers]
    others = [] if minor == "1.33" else ["crio-credential-provider"]
    assert names == [f"{platform}-credential-provider", *others, "gcp-sa-credential-provider"]


@ALL_FORMS
def test_eks_keeps_ecr(minor: str, flags: list[str], *, directory: bool) -> None:
    """In a file as a copy of nodeadm's entry; in a directory by a link to nodeadm's own file."""
    made = files(cluster("eks", minor, directory=directory))
    configs = found(made)
    assert len(configs) == (4 if minor == "1.33" else 2)
    for config in configs:
        names = [one["name"] for one in config.document["providers"]]
        if directory:
            assert names == ["gcp-sa-credential-provider"]
        else:
            assert config.document["providers"][0] == eks.ECR_ENTRY
            assert names == ["ecr-credential-provider", "gcp-sa-credential-provider"]
    # What is in the user data is what lies beside it.
    inside = [config.text for config in configs if config.where.startswith("user-data.mime")]
    beside = [config.text for config in configs if not config.where.startswith("user-data.mime")]
    assert inside == [text.rstrip("\n") for text in beside]
    (settings,) = [
        part
        for part in made["user-data.mime"].split("--==gcp-sa-credential-provider==")
        if "application/node.eks.aws" in part
    ]
    node_config = yaml.safe_load(settings.partition("\n\n")[2])
    assert node_config["kind"] == "NodeConfig"
    assert node_config["spec"]["kubelet"]["flags"] == flags


@ALL_FORMS
def test_kops(minor: str, flags: list[str], *, directory: bool) -> None:
    """Assets of different names, and the unit's own command with our flags behind it."""
    made = files(cluster("kops", minor, directory=directory))
    assets = parsed(made["kops-file-assets.yaml"])[0]["fileAssets"]
    names = [one["name"] for one in assets]
    assert len(set(names)) == len(names)
    (drop_in,) = [one for one in assets if one["path"].endswith(".conf")]
    assert drop_in["path"] == f"/etc/systemd/system/kubelet.service.d/{UNIT_DROP_IN}"
    lines = drop_in["content"].splitlines()
    told = [flags[0], "--image-credential-provider-bin-dir=/usr/local/bin", *flags[2:]]
    command = f'ExecStart=/usr/local/bin/kubelet "$DAEMON_ARGS" {" ".join(told)}'
    # A drop-in's ExecStart adds a command, unless the list is emptied first.
    assert lines.index("ExecStart=") + 1 == lines.index(command)


@ALL_FORMS
def test_k0sctl(minor: str, flags: list[str], *, directory: bool) -> None:
    """Uploads to where the flags look."""
    made = files(cluster("k0s", minor, directory=directory))
    (host,) = parsed(made["k0sctl-host.yaml"])
    assert host["installFlags"] == [f'--kubelet-extra-args="{" ".join(flags)}"']
    uploads = {f"{one['dstDir']}/{one['dst']}": one for one in host["files"]}
    program = uploads[f"{PROGRAMS}/gcp-sa-credential-provider"]
    assert (program["src"], program["perm"]) == ("gcp-sa-credential-provider", "0755")
    others = [one for one in host["files"] if one is not program]
    assert {one["perm"] for one in others} == {"0644"}
    assert {one["src"] for one in others} <= made.keys()
    if directory:
        assert f"{DIRECTORY}/{DROP_IN}" in uploads


def test_k0s_api_servers_gate() -> None:
    """In its cluster configuration."""
    made = files(cluster("k0s", "1.33", gate=True))
    name = GATE.partition("=")[0]
    assert parsed(made["k0s-config.yaml"]) == [
        {"spec": {"featureGates": [{"name": name, "enabled": True}]}}
    ]


@pytest.mark.parametrize("distribution", ["k3s", "rke2"])
@pytest.mark.parametrize(("minor", "directory"), [("1.33", False), ("1.34", False), ("1.34", True)])
def test_rancher(distribution: Distribution, minor: str, *, directory: bool) -> None:
    """Fixed places need no flag; the gate and the directory do, added to others' arguments."""
    made = files(cluster(distribution, minor, directory=directory, gate=minor == "1.33"))
    base = "/var/lib/rancher/credentialprovider"
    gate = [f"feature-gates={GATE}"] if minor == "1.33" else []
    places = [
        f"image-credential-provider-config={base}/config.d",
        f"image-credential-provider-bin-dir={base}/bin",
    ]
    told = [*gate, *(places if directory else [])]
    arguments_file = made.get("config.yaml.d/50-gcp-sa-credential-provider.yaml", "null")
    assert parsed(arguments_file) == [{"kubelet-arg+": told} if told else None]
    server = made.get("config.yaml.d/51-gcp-sa-credential-provider-server.yaml", "null")
    assert parsed(server) == [{"kube-apiserver-arg+": gate} if gate else None]
    readme = made["README.md"]
    assert f"| `{base}/bin/gcp-sa-credential-provider` | 0755 |" in readme
    target = f"{base}/config.d/{DROP_IN}" if directory else f"{base}/config.yaml"
    assert target in readme
    if directory:
        assert f"`ln -s ../config.yaml {base}/config.d/10-config.yaml`" in readme
    # The agent logs this only where config.yaml itself is a regular file.
    found_by_itself = "`Kubelet image credential provider bin dir and configuration file found.`"
    assert (found_by_itself in readme) == (not directory)
    assert ("kubelet adds up gates" in readme) == bool(gate)


@ALL_FORMS
def test_microk8s(minor: str, flags: list[str], *, directory: bool) -> None:
    """Lines for its files of arguments, in a folder that a refresh of the snap leaves alone."""
    made = files(cluster("microk8s", minor, directory=directory, gate=minor == "1.33"))
    common = "/var/snap/microk8s/common/credential-providers"
    lines = [line for line in made["args-kubelet"].splitlines() if not line.startswith("#")]
    assert lines == [
        f"--image-credential-provider-config={common}/config.{'d' if directory else 'yaml'}",
        f"--image-credential-provider-bin-dir={common}/bin",
        *flags[2:],
    ]
    gate = made.get("args-kube-apiserver", "").splitlines()
    assert [line for line in gate if not line.startswith("#")] == (
        [f"--feature-gates={GATE}"] if minor == "1.33" else []
    )
    assert "AlwaysAllow" in made["README.md"]


def test_aks_is_a_note() -> None:
    """Our entry, where it goes, and that it does not last."""
    made = files(cluster("aks"))
    assert sorted(made) == ["README.md", "credential-provider-config.yaml"]
    assert "**AKS has no supported way to add a credential provider.**" in made["README.md"]
