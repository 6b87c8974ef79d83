"""The kubelet that runs, found among real processes and asked for what it was told."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import kubelet
from gcp_sa_credential_provider.node.failure import Refused
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.kubelet import Kubelet
from gcp_sa_credential_provider.node.process import Process
from gcp_sa_credential_provider.node.validate import GATE
from unit.processes import Processes, processes

HERE = Root(Path("/"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Processes]:
    """A host on which only the processes of the test run."""
    with processes(tmp_path) as made:
        yield made


def running(host: Processes, minor: tuple[int, int] = (1, 34)) -> Kubelet:
    found = kubelet.running(HERE, host.proc, minor=minor)
    assert found is not None
    return found


def test_none_runs(host: Processes) -> None:
    host.start("/usr/bin/containerd", "--config=/etc/containerd/config.toml")
    assert kubelet.running(HERE, host.proc) is None


def test_what_the_command_line_says(host: Processes, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.touch()
    pid = host.start(
        "/usr/bin/kubelet",
        "--image-credential-provider-config=/etc/of-before",
        "--image-credential-provider-config",
        str(config),
        f"--image-credential-provider-bin-dir={tmp_path}",
        "--v",
        "2",
        "--hostname-override=node-1",
        "--kubeconfig=/etc/kubernetes/kubelet.conf",
        "--fail-swap-on",
        "--read_only_port=10255",
        "--healthz-port=10300",
        "--address=10.0.0.7",
        "--port=10301",
        "--tls-cert-file=/etc/serving.crt",
    )
    found = running(host)
    assert found == Kubelet(
        pid=pid,
        started=found.started,
        minor=(1, 34),
        config=str(config),
        bin_dir=str(tmp_path),
        gates={GATE: True},
        unit=found.unit,
        node_name="node-1",
        within="",
        server=False,
        program=str(Path(f"/proc/{pid}/exe").readlink()),
        kubeconfig="/etc/kubernetes/kubelet.conf",
        healthz=("127.0.0.1", 10300),
        address="10.0.0.7",
        port=10301,
        read_only_port=10255,
        certificates=(
            "/etc/serving.crt",
            "/var/lib/kubelet/pki/kubelet-server-current.pem",
            "/var/lib/kubelet/pki/kubelet.crt",
        ),
    )
    boot, _, ticks = found.started.partition("/")
    assert boot == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert ticks == Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]


def test_a_kubelet_that_was_told_nothing(host: Processes) -> None:
    host.start("kubelet")
    found = running(host)
    assert (found.config, found.bin_dir, found.kubeconfig) == (None, None, None)
    assert (found.healthz, found.port, found.read_only_port) == (("127.0.0.1", 10248), 10250, 0)
    assert found.node_name == os.uname().nodename.lower()


def test_two_kubelets_are_one_too_many(host: Processes) -> None:
    pids = sorted(host.start("/usr/bin/kubelet") for _ in range(2))
    with pytest.raises(Refused) as caught:
        kubelet.running(HERE, host.proc)
    assert str(caught.value) == (
        f"processes {pids[0]} (kubelet), {pids[1]} (kubelet): each looks like this host's kubelet."
        " Fix: stop the one that is not; a node has one kubelet"
    )


def test_a_program_that_is_asked_for_its_version_is_no_kubelet(host: Processes) -> None:
    """As kubeadm does, and a unit of ours before its kubelet starts."""
    host.start("/usr/bin/kubelet", "--version")
    assert kubelet.running(HERE, host.proc) is None
    pid = host.start("/usr/bin/kubelet", "--v=2")
    assert running(host).pid == pid


def test_a_child_between_fork_and_exec_is_no_second_one(host: Processes) -> None:
    pid, _ = host.start_child(("/usr/bin/kubelet", "--v=2"), ("/usr/bin/kubelet", "--v=2"))
    assert running(host).pid == pid


def test_a_kubelet_of_another_file_tree_is_another_nodes(host: Processes, tmp_path: Path) -> None:
    host.start("/usr/bin/kubelet")
    assert kubelet.find(Root(tmp_path), host.proc) is None


def test_a_process_that_ends_meanwhile_was_not_there(host: Processes) -> None:
    (host.proc / "4194999").symlink_to("/proc/4194999")
    assert kubelet.running(HERE, host.proc) is None


# Files


def test_files_are_merged_and_flags_win(host: Processes, tmp_path: Path) -> None:
    (tmp_path / "kubelet.yaml").write_text(
        "healthzPort: 1\nhealthzBindAddress: 10.0.0.1\nport: 2\nreadOnlyPort: 3\n"
        "featureGates: {A: true, B: true, C: true}\nauthentication: {x509: {clientCAFile: /ca}}\n"
    )
    drop_ins = tmp_path / "kubelet.conf.d"
    (drop_ins / "30-later").mkdir(parents=True)
    (drop_ins / "20-first.conf").write_text("port: 4\nfeatureGates: {B: false}\n")
    (drop_ins / "30-later/x.conf").write_text("readOnlyPort: null\nport: 5\n")
    (drop_ins / "40-not.yaml").write_text("port: 6\n")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/x.conf").write_text("port: 7\n")
    (drop_ins / "50-link").symlink_to(tmp_path / "elsewhere")  # which the kubelet does not follow
    host.start(
        "kubelet",
        f"--config={tmp_path}/kubelet.yaml",
        f"--config-dir={drop_ins}",
        "--healthz-bind-address=127.0.0.2",
        "--feature-gates=C=false,D=true",
        "--feature-gates=D=false",
    )
    found = running(host)
    assert found.healthz == ("127.0.0.2", 1)
    assert (found.port, found.read_only_port) == (5, 0)
    assert found.gates == {"A": True, "B": False, "C": False, "D": False, GATE: True}


def test_a_folder_of_drop_ins_that_is_a_link_is_not_followed(
    host: Processes, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real/a.conf").write_text("port: 4\n")
    (tmp_path / "link").symlink_to("real")
    host.start("kubelet", f"--config-dir={tmp_path}/link")
    assert running(host).port == 10250


def test_a_drop_in_that_leads_nowhere_is_refused(host: Processes, tmp_path: Path) -> None:
    (tmp_path / "a.conf").symlink_to("none")
    host.start("kubelet", f"--config-dir={tmp_path}")
    with pytest.raises(Refused, match=r"/a\.conf: not there, and the kubelet was told to read it"):
        running(host)


def test_an_empty_argument_is_one(host: Processes) -> None:
    """As a unit hands over a variable in quotes that is empty."""
    host.start("kubelet", "--node-ip", "", "--hostname-override", "", "--port=7", "")
    found = running(host)
    assert (found.node_name, found.port) == (os.uname().nodename.lower(), 7)


def test_a_kubelet_that_may_not_be_looked_at(
    host: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not passed over: that would install as if none ran."""

    def in_root(_: Process, __: Root) -> bool:
        raise PermissionError(13, "Permission denied", "/proc/1/root")

    monkeypatch.setattr(Process, "in_root", in_root)
    host.start("/usr/bin/containerd")
    assert kubelet.running(HERE, host.proc) is None
    pid = host.start("/usr/bin/kubelet")
    with pytest.raises(Refused) as caught:
        kubelet.running(HERE, host.proc)
    assert str(caught.value) == (
        f"kubelet, process {pid}: /proc/1/root: Permission denied. Fix: run this as root; in a pod"
        " with hostPID and the capability SYS_PTRACE"
    )


def test_a_healthz_port_of_0_is_none(host: Processes, tmp_path: Path) -> None:
    (tmp_path / "kubelet.yaml").write_text("healthzPort: 0\n")
    host.start("kubelet", f"--config={tmp_path}/kubelet.yaml")
    assert running(host).healthz is None


def test_relative_paths_are_from_the_kubelets_own_folder(host: Processes, tmp_path: Path) -> None:
    """And those in its configuration are from where that is."""
    (tmp_path / "kubelet.yaml").write_text("tlsCertFile: pki/serving.crt\n")
    host.start(
        "kubelet", f"--config={tmp_path}/kubelet.yaml", "--kubeconfig=k.conf", "--cert-dir=pki"
    )
    found = running(host)
    here = Path.cwd()
    assert found.kubeconfig == f"{here}/k.conf"
    assert found.certificates == (
        f"{tmp_path}/pki/serving.crt",
        f"{here}/pki/kubelet-server-current.pem",
        f"{here}/pki/kubelet.crt",
    )


def test_a_relative_path_is_from_the_kubelets_own_folder(host: Processes) -> None:
    host.start("kubelet", "--config=not/there.yaml")
    with pytest.raises(Refused, match=f"{Path.cwd()}/not/there.yaml: not there"):
        running(host)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "/kubelet.yaml: not there, and the kubelet was told to read it; it would not start"),
        ("a: [", "/kubelet.yaml: line 1, column 5: not YAML"),
        (b"\xff", "/kubelet.yaml: 'utf-8' codec"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(
    host: Processes, tmp_path: Path, content: str | bytes | None, said: str
) -> None:
    path = tmp_path / "kubelet.yaml"
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    host.start("kubelet", f"--config={path}")
    with pytest.raises(Refused) as caught:
        running(host)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("minor", "flag", "on"),
    [
        ((1, 33), "", False),
        ((1, 33), "AllAlpha=true", True),
        ((1, 33), "AllBeta=true", False),
        ((1, 33), f"AllAlpha=true,{GATE}=false", False),
        ((1, 33), f"{GATE}=true", True),
        ((1, 34), "", True),
        ((1, 34), "AllBeta=false", False),
        ((1, 34), "AllAlpha=false", True),
        ((1, 34), f"AllBeta=false,{GATE}=true", True),
    ],
)
def test_the_gate(host: Processes, minor: tuple[int, int], flag: str, on: bool) -> None:  # noqa: FBT001 -- a table's value
    host.start("kubelet", f"--feature-gates={flag}")
    assert running(host, minor).gates[GATE] is on


# What carries or starts it


def test_rke2_and_k0s_start_it_as_a_child(host: Processes) -> None:
    server, child = host.start_child(("/usr/local/bin/rke2", "server"), ("kubelet", "--v=1"))
    found = running(host)
    assert (found.pid, found.within, found.server) == (child, "rke2", True)
    assert found.pid != server


@pytest.mark.parametrize(
    ("parent", "within", "server"),
    [
        (("/usr/local/bin/rke2", "agent"), "rke2", False),
        (("/usr/local/bin/k0s", "worker", "--token-file=/etc/t"), "k0s", False),
        (("/usr/local/bin/k0s", "controller", "--enable-worker"), "k0s", True),
        (("/lib/systemd/systemd", "--system"), "", False),
    ],
)
def test_whose_child_it_is(
    host: Processes,
    parent: tuple[str, ...],
    within: str,
    server: bool,  # noqa: FBT001 -- a table's value
) -> None:
    host.start_child(parent, ("/var/lib/x/bin/kubelet",))
    found = running(host)
    assert (found.within, found.server) == (within, server)


def test_k3s_carries_it(host: Processes, tmp_path: Path) -> None:
    config, folder = tmp_path / "k3s.yaml", tmp_path / "k3s.yaml.d"
    folder.mkdir()
    (tmp_path / "bin").mkdir()
    (tmp_path / "providers.yaml").touch()
    config.write_text(
        f"image-credential-provider-config: {tmp_path}/providers.yaml\n"
        f"image-credential-provider-bin-dir: {tmp_path}/bin\n"
        f"data-dir: {tmp_path}/data\n"
        "node-name: n1\n"
        "kubelet-arg: [--healthz-port=11, feature-gates=A=true, port=13, port-=12, v+=2]\n"
    )
    (folder / "a.yaml").write_text("kubelet-arg+:\n- feature-gates=B=true\nnode-label: true\n")
    (folder / "b.txt").write_text("node-name: n2\n")
    data = tmp_path / "data/agent/etc/kubelet.conf.d"
    data.mkdir(parents=True)
    (data / "00-k3s-defaults.conf").write_text('{"healthzPort": 10}')
    host.start("/usr/local/bin/k3s", "server", f"--config={config}", "--token=secret")
    found = running(host)
    assert (found.within, found.server, found.node_name) == ("k3s", True, "n1")
    assert (found.config, found.bin_dir) == (f"{tmp_path}/providers.yaml", f"{tmp_path}/bin")
    assert found.gates == {"A": True, "B": True, GATE: True}
    assert (found.healthz, found.port) == (("127.0.0.1", 11), 13)
    assert found.kubeconfig == f"{tmp_path}/data/agent/kubelet.kubeconfig"
    assert "secret" not in repr(found)


def test_k3s_says_nothing_of_places_that_are_not_there(host: Processes, tmp_path: Path) -> None:
    environment = {"K3S_CONFIG_FILE": str(tmp_path / "none"), "K3S_DATA_DIR": f"{tmp_path}/d"}
    words = (
        f"--image-credential-provider-config={tmp_path}",  # a folder
        f"--image-credential-provider-bin-dir={tmp_path}",
    )
    host.start("/usr/local/bin/k3s", "agent", *words, environment=environment)
    found = running(host)
    assert (found.config, found.bin_dir, found.server) == (None, None, False)
    assert found.kubeconfig == f"{tmp_path}/d/agent/kubelet.kubeconfig"


def test_k3s_under_its_title(host: Processes, tmp_path: Path) -> None:
    environment = {"K3S_CONFIG_FILE": str(tmp_path / "none"), "K3S_NODE_NAME": "n3"}
    host.start("/usr/local/bin/k3s server", environment=environment)
    found = running(host)
    assert (found.within, found.server, found.node_name) == ("k3s", True, "n3")


def test_another_command_of_k3s_is_no_kubelet(host: Processes) -> None:
    host.start("/usr/local/bin/k3s", "kubectl", "get", "nodes")
    assert kubelet.running(HERE, host.proc) is None


def test_microk8s_carries_it(host: Processes, tmp_path: Path) -> None:
    arguments = tmp_path / "kubelet"
    (tmp_path / "bin").mkdir()
    arguments.write_text(
        "# --healthz-port=1\n"
        "\n"
        '--image-credential-provider-config="${SNAP_DATA}/c" --v=1\n'
        "--image-credential-provider-bin-dir=$SNAP_DATA/bin\n"
    )
    host.start(
        "/snap/microk8s/9072/kubelite",
        f"--kubelet-args-file={arguments}",
        "--start-control-plane=false",
        environment={"SNAP_DATA": str(tmp_path)},
    )
    found = running(host)
    assert (found.within, found.server) == ("microk8s", False)
    assert (found.config, found.bin_dir) == (f"{tmp_path}/c", f"{tmp_path}/bin")
    assert found.healthz == ("127.0.0.1", 10248)


def test_microk8s_without_its_file(host: Processes, tmp_path: Path) -> None:
    host.start("kubelite", f"--kubelet-args-file={tmp_path}/none")
    with pytest.raises(Refused, match="/none: not there, and MicroK8s takes its kubelet's"):
        running(host)


@pytest.mark.parametrize(("content", "said"), [("a: [", "not YAML"), ("- a", None)])
def test_k3s_whose_file_is_odd(
    host: Processes, tmp_path: Path, content: str, said: str | None
) -> None:
    (tmp_path / "k3s.yaml").write_text(content)
    host.start("k3s", "agent", f"--config={tmp_path}/k3s.yaml")
    if said is None:
        assert running(host).within == "k3s"
        return
    with pytest.raises(Refused, match=said):
        running(host)


def test_the_running_program_is_asked_not_what_replaced_it(host: Processes) -> None:
    """What runs here is Python, and its version no kubelet's."""
    host.start("/usr/bin/kubelet")
    with pytest.raises(Refused, match=r"kubelet --version: no Kubernetes version is in 'Python 3"):
        kubelet.running(HERE, host.proc)
