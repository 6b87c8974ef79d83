"""Flags that are handed to a kubelet by each kind of unit, and health after a restart."""

from collections.abc import Iterator

import pytest

from node.machine import Machine

FLAGS = (
    "--image-credential-provider-config=/etc/kubernetes/credential-providers/config.yaml"
    " --image-credential-provider-bin-dir=/opt/credential-providers/bin"
)
DIRECTORY = FLAGS.replace("config.yaml", "config.d")


@pytest.mark.parametrize(
    ("unit", "files", "told"),
    [
        ("/opt/bin/kubelet --v=2 $KUBELET_EXTRA_ARGS", {}, f"started --v=2 {FLAGS}"),
        (
            "/opt/bin/kubelet --v=2 $KUBELET_EXTRA_ARGS\nEnvironmentFile=-/etc/default/kubelet",
            {"/etc/default/kubelet": "KUBELET_EXTRA_ARGS=--max-pods=9\n"},
            f"started --v=2 --max-pods=9 {FLAGS}",
        ),
        (
            (
                "/opt/bin/kubelet $KUBELET_EXTRA_ARGS\n"
                'Environment="KUBELET_EXTRA_ARGS=--v=1 --max-pods=8"'
            ),
            {},
            f"started --v=1 --max-pods=8 {FLAGS}",
        ),
        (
            "/opt/bin/kubelet \\\n  --v=2 \\\n  --max-pods=7",
            {},
            f"started --v=2 --max-pods=7 {FLAGS}",
        ),
        (
            "/opt/bin/kubelet $NODEADM_KUBELET_ARGS\nEnvironmentFile=/etc/eks/kubelet/environment",
            {
                "/etc/eks/kubelet/environment": "NODEADM_KUBELET_ARGS=--v=3 --image-credential-"
                "provider-config=/etc/eks/image-credential-provider/config.json"
                " --image-credential-provider-bin-dir=/etc/eks/image-credential-provider\n",
                "/etc/eks/image-credential-provider/config.json": "{}",
                "/etc/eks/image-credential-provider/ecr-credential-provider": "",
            },
            (
                "started --v=3"
                " --image-credential-provider-config=/etc/eks/image-credential-provider/config.json"
                " --image-credential-provider-bin-dir=/etc/eks/image-credential-provider"
                f" {DIRECTORY}"
            ),
        ),
    ],
    ids=["variable", "variable in a file", "variable in the unit", "no variable", "eks"],
)
def test_a_kubelet_gets_its_flags(
    host: Machine, unit: str, files: dict[str, str], told: str
) -> None:
    host.unit("kubelet.service", f"[Service]\nExecStart={unit}\n")
    for path, text in files.items():
        host.host.write(path, text)
    with host.booted("kubelet.service"):
        host.told()
        host.asked("wire")
        assert host.told() == told
        after = host.asked("running")
        # A second look comes to the same.
        host.asked("wire")
        assert host.told() == told
    assert [f"--image-credential-provider-config={after['config']}", after["bin_dir"]] == [
        told.split()[-2],
        "/opt/credential-providers/bin",
    ]


def test_k0s_hands_its_kubelet_the_flags(host: Machine) -> None:
    started = (
        '/opt/bin/k0s worker --token-file=/etc/token --kubelet-extra-args="--v=4 --max-pods=5"'
    )
    host.unit("k0sworker.service", f"[Service]\nExecStart={started}\n")
    with host.booted("k0sworker.service"):
        assert host.told() == "started --v=4 --max-pods=5"
        assert host.asked("wire") == {
            "profile": "k0s",
            "config": "/etc/kubernetes/credential-providers/config.yaml",
            "units": ["k0sworker.service"],
        }
        assert host.told() == f"started --v=4 --max-pods=5 {FLAGS}"
        assert host.asked("running")["within"] == "k0s"


@pytest.fixture
def once(host: Machine) -> Iterator[Machine]:
    """With a kubelet that systemd does not start over, and that has no healthz port."""
    host.host.write("/etc/kubelet.yaml", "healthzPort: 0\n")
    unit = "[Service]\nExecStart=/opt/bin/kubelet --config=/etc/kubelet.yaml\n"
    host.unit("kubelet.service", unit)
    with host.booted("kubelet.service"):
        host.told()
        yield host


def test_a_kubelet_that_stays_is_well(once: Machine) -> None:
    assert once.asked("turn_over", "0.5") == [
        "the kubelet's healthz is not to be reached from here; not asked",
        "the kubelet has no kubeconfig; its node's Lease is not looked at",
    ]


def test_a_kubelet_that_ends_is_not_and_the_node_says_why(once: Machine) -> None:
    once.has("/opt/refuse").touch()
    done = once.act("turn_over", "5")
    assert done.returncode == 1, done.stderr
    # Whether it was seen while it lived is chance; what systemd says of it is not.
    assert "ended within 5 s" in done.stdout or "no kubelet has started" in done.stdout
    assert "Id=kubelet.service ActiveState=failed SubState=failed" in done.stdout
    assert done.stdout.endswith(
        "; Failed to register CRI auth plugins. Fix: journalctl --unit=kubelet.service\n"
    )


def test_a_kubelet_that_says_nothing_on_its_healthz_port_is_not(host: Machine) -> None:
    host.unit("kubelet.service", "[Service]\nExecStart=/opt/bin/kubelet --healthz-port=1\n")
    with host.booted("kubelet.service"):
        host.told()
        done = host.act("turn_over", "0.1")
    assert done.returncode == 1
    assert "the kubelet's healthz is not well: 127.0.0.1:1: CONNECT-REFUSED" in done.stdout


def test_a_kubelet_that_is_not_restarted_is_not_well(host: Machine) -> None:
    """A restart that systemd refuses, which nobody but the kubelet itself can tell us."""
    unit = "[Unit]\nRefuseManualStart=yes\n[Service]\nExecStart=/opt/bin/kubelet\n"
    host.unit("kubelet.service", unit)
    with host.booted("kubelet.service"):
        host.told()
        done = host.act("turn_over", "1")
    assert done.returncode == 1
    assert "still runs after 10 s" in done.stdout
