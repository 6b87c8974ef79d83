"""What keeps a program from being run by the kubelet, or from being safe."""

import os
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import check, command
from gcp_sa_credential_provider.node.check import problems, run_once, set_label
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.files import Root
from scene import AUDIENCE

HERE = Root(Path("/"))
BINARY = "/opt/bin/plugin"
MACHINES = {"x86_64": 62, "aarch64": 183}
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="files of root, and of others, need root")


def elf(machine: str | int, order: str = "<") -> bytes:
    """The beginning of a program."""
    number = MACHINES.get(str(machine)) or int(machine)
    head = b"\x7fELF\x02" + (b"\x01" if order == "<" else b"\x02") + b"\x01" + bytes(9)
    return head + struct.pack(f"{order}HH", 2, number) + bytes(44)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A host with a program for this machine, that nothing is wrong with."""
    tmp_path.chmod(0o755)
    file = tmp_path / BINARY.lstrip("/")
    file.parent.mkdir(parents=True)
    file.write_bytes(elf(os.uname().machine))
    file.chmod(0o755)
    return Root(tmp_path)


def found(root: Root) -> list[str]:
    return problems(root, BINARY, "/opt/bin")


@ROOT
def test_nothing_is_wrong(root: Root) -> None:
    assert found(root) == []


@ROOT
def test_a_tree_that_is_reached_by_a_link(
    root: Root, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """As /proc/1/root is one."""
    link = tmp_path_factory.mktemp("pod") / "root"
    link.symlink_to(root.path)
    assert found(Root(link)) == []


@ROOT
@pytest.mark.parametrize(
    ("path", "mode", "said"),
    [
        ("/opt", 0o777, "/opt: others may write in it (mode 0777). Fix: chmod go-w /opt"),
        ("/opt/bin", 0o1777, "/opt/bin: others may write in it (mode 1777). Fix: chmod go-w"),
        ("/opt/bin", 0o644, "/opt/bin: may not be entered (mode 0644). Fix: chmod 0755 /opt/bin"),
        (BINARY, 0o644, f"{BINARY}: not executable (mode 0644). Fix: chmod 0755 {BINARY}"),
        (BINARY, 0o757, f"{BINARY}: others may write it (mode 0757). Fix: chmod go-w {BINARY}"),
    ],
)
def test_modes(root: Root, path: str, mode: int, said: str) -> None:
    root.outside(path).chmod(mode)
    [problem] = found(root)
    assert problem.startswith(said)


@ROOT
@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/opt", "/opt: owned by user 1000. Fix: chown root /opt"),
        (BINARY, f"{BINARY}: owned by user 1000. Fix: chown root {BINARY}"),
    ],
)
def test_owners(root: Root, path: str, said: str) -> None:
    os.chown(root.outside(path), 1000, -1)
    assert found(root) == [said]


@ROOT
def test_a_configuration_that_others_may_write(root: Root) -> None:
    """Or put another in its place; whether it is there already or not."""
    config = "/etc/kubelet/config.yaml"
    root.outside("/").joinpath("etc/kubelet").mkdir(parents=True)
    assert check.exposed(root, config) == []
    root.outside("/etc/kubelet").chmod(0o777)
    root.write(config, b"", 0o644)
    os.chown(root.outside(config), 1000, -1)
    root.outside(config).chmod(0o646)
    assert check.exposed(root, config) == [
        "/etc/kubelet: others may write in it (mode 0777). Fix: chmod go-w /etc/kubelet",
        f"{config}: owned by user 1000. Fix: chown root {config}",
        f"{config}: others may write it (mode 0646). Fix: chmod go-w {config}",
    ]


@ROOT
def test_a_group_of_others_may_write_it_and_roots_own_may(root: Root) -> None:
    root.outside("/opt/bin").chmod(0o775)
    assert found(root) == []
    os.chown(root.outside("/opt/bin"), -1, 1000)
    assert found(root) == ["/opt/bin: others may write in it (mode 0775). Fix: chmod go-w /opt/bin"]


@ROOT
def test_links_lead_through_folders_as_well(root: Root) -> None:
    """Where the link is counts, and where it leads to."""
    place = root.path / "srv/open"
    place.mkdir(parents=True)
    place.chmod(0o777)
    shutil.move(root.outside(BINARY), place / "plugin")
    (root.path / BINARY.lstrip("/")).symlink_to("/srv/open/plugin")
    assert found(root) == [
        "/srv/open: others may write in it (mode 0777). Fix: chmod go-w /srv/open"
    ]


@ROOT
def test_a_link_on_the_way_in_a_folder_of_somebody_else(root: Root) -> None:
    """Its owner could have it lead elsewhere."""
    (root.path / "home/somebody").mkdir(parents=True)
    (root.path / "home").chmod(0o755)
    os.chown(root.path / "home/somebody", 1000, 1000)
    (root.path / "opt").rename(root.path / "srv")
    (root.path / "home/somebody/link").symlink_to("/srv")
    (root.path / "opt").symlink_to("home/somebody/link")
    assert found(root) == [
        "/home/somebody: owned by user 1000. Fix: chown root /home/somebody",
    ]


@ROOT
def test_a_file_where_a_folder_should_be(root: Root) -> None:
    assert problems(root, f"{BINARY}/x", BINARY)[0] == (
        f"{BINARY}: not a folder. Fix: put the program elsewhere"
    )


@ROOT
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (elf("aarch64" if os.uname().machine == "x86_64" else "x86_64"), "for a{0}"),
        (elf(21, ">"), f"for machine 21, but this is {os.uname().machine}. Fix: use the static"),
        (b"\x7fELF", "no program. Fix: put the static file there"),
        (b"", "no program. Fix: put the static file there"),
        (b"#!/usr/bin/python3 -IS\n", "its interpreter '/usr/bin/python3' is not on this host."),
        (b"#!\n", "its interpreter '' is not on this host. Fix: use the static file"),
    ],
)
def test_programs(root: Root, content: bytes, said: str) -> None:
    root.outside(BINARY).write_bytes(content)
    [problem] = found(root)
    other = "arch64" if os.uname().machine == "x86_64" else "md64"
    assert problem.startswith(f"{BINARY}: ")
    assert said.format(other).removeprefix("for a") in problem


@ROOT
def test_a_script_whose_interpreter_is_there(root: Root) -> None:
    root.outside(BINARY).write_bytes(b"#! /opt/bin/python -I\n")
    (root.path / "opt/bin/python").touch()
    assert found(root) == []


@ROOT
def test_no_program(root: Root) -> None:
    root.outside(BINARY).unlink()
    assert found(root) == [f"{BINARY}: no file. Fix: put the static file there"]


@ROOT
def test_a_file_system_that_nothing_is_run_from(root: Root) -> None:
    """In mounts of its own, which end with it."""
    place = root.path / "opt/bin"
    code = (
        "import sys; from pathlib import Path\n"
        "from gcp_sa_credential_provider.node.check import problems\n"
        "from gcp_sa_credential_provider.node.files import Root\n"
        f"print(problems(Root(Path({str(root.path)!r})), {BINARY!r}, '/opt/bin'))"
    )
    mounted = f'mount --bind "{place}" "{place}" && mount -o remount,bind,noexec "{place}" && '
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-c", mounted + 'exec "$@"', "sh", sys.executable, "-c", code],
        capture_output=True,
        check=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.stdout == (
        f"['{BINARY}: on a file system that is mounted noexec. Fix: mount it without (mount -o"
        " remount,exec), or choose another folder of providers']\n"
    )


def test_a_folder_that_cannot_be_looked_into(root: Root) -> None:
    """A loop of links, for root; no right, for others."""
    (root.path / "loop").symlink_to("loop")
    [problem] = problems(root, "/loop/plugin", "/loop")
    assert problem == "/loop/plugin: Too many levels of symbolic links. Fix: run this as root"


# SELinux


def enforce(root: Root, *, value: str = "1") -> None:
    """Have it enforced, by what the kernel would say."""
    file = root.path / "sys/fs/selinux/enforce"
    file.parent.mkdir(parents=True)
    file.write_text(value)


class Labelled(Root):
    """A tree whose labels are kept beside it: a kernel without SELinux stores none."""

    def __init__(self, path: Path, labels: dict[str, str]) -> None:
        super().__init__(path)
        self.labels = labels

    def label(self, path: str) -> str | None:
        """What is kept."""
        return self.labels.get(path)

    def set_label(self, path: str, label: str) -> None:
        """Keep it."""
        if label.startswith("fixed_u"):
            raise PermissionError(1, "Operation not permitted", path)
        self.labels[path] = label


@ROOT
def test_a_label_that_the_kubelet_may_not_run(root: Root) -> None:
    enforce(root)
    labelled = Labelled(root.path, {BINARY: "system_u:object_r:var_lib_t:s0"})
    assert problems(labelled, BINARY, "/opt/bin") == [
        (
            f"{BINARY}: SELinux label system_u:object_r:var_lib_t:s0, of which the kubelet may not"
            " run files. Fix: semanage fcontext --add --type bin_t '/opt/bin(/.*)?'; restorecon -RF"
            " /opt/bin"
        )
    ]
    labelled.labels[BINARY] = "system_u:object_r:bin_t:s0"
    assert problems(labelled, BINARY, "/opt/bin") == []


@ROOT
def test_labels_do_not_matter_where_nothing_is_enforced(root: Root) -> None:
    enforce(root, value="0")
    assert problems(Labelled(root.path, {}), BINARY, "/opt/bin") == []
    assert set_label(Labelled(root.path, {}), BINARY) == []


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("system_u:object_r:usr_t:s0", "system_u:object_r:bin_t:s0"),
        ("unconfined_u:object_r:var_t:s0:c1,c2", "unconfined_u:object_r:bin_t:s0:c1,c2"),
        (None, "system_u:object_r:bin_t:s0"),
    ],
)
def test_a_label_is_set_and_kept(
    root: Root, monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    enforce(root)
    labelled = Labelled(root.path, {BINARY: before} if before else {})
    asked: list[list[str]] = []

    def run(_: Root, argv: list[str]) -> command.Ended:
        asked.append(argv)
        return command.Ended(0, "", "")

    monkeypatch.setattr(command, "run", run)
    assert set_label(labelled, BINARY) == []
    assert labelled.labels[BINARY] == after
    assert asked == [["semanage", "fcontext", "--add", "--type", "bin_t", BINARY]]
    assert set_label(labelled, BINARY) == []
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (0, "", []),
        (1, f"ValueError: File context for {BINARY} is not defined", []),
        (
            1,
            "ValueError: policy is locked",
            [
                (
                    f"{BINARY}: SELinux goes on having a rule for it (ValueError: policy is"
                    f" locked). Fix: semanage fcontext --delete {BINARY}"
                )
            ],
        ),
    ],
)
def test_a_rule_for_what_is_gone(
    root: Root, monkeypatch: pytest.MonkeyPatch, code: int, said: str, told: list[str]
) -> None:
    asked: list[list[str]] = []

    def run(_: Root, argv: list[str]) -> command.Ended:
        asked.append(argv)
        return command.Ended(code, "", said)

    monkeypatch.setattr(command, "run", run)
    root.outside(BINARY).unlink()
    assert check.forget_label(root, BINARY) == []
    assert asked == []
    enforce(root)
    assert check.forget_label(root, BINARY) == told
    assert asked == [["semanage", "fcontext", "--delete", BINARY]]


@ROOT
def test_a_label_that_a_relabelling_will_undo(root: Root) -> None:
    """There is no semanage in that tree."""
    enforce(root)
    labelled = Labelled(root.path, {BINARY: "system_u:object_r:usr_t:s0"})
    assert set_label(labelled, BINARY) == [
        (
            f"{BINARY}: labelled bin_t until the next relabelling (semanage: cannot be run: No such"
            f" file or directory). Fix: semanage fcontext --add --type bin_t {BINARY}"
        )
    ]


def test_a_label_that_cannot_be_set(root: Root) -> None:
    enforce(root)
    labelled = Labelled(root.path, {BINARY: "fixed_u:object_r:usr_t:s0"})
    with pytest.raises(Failed) as caught:
        set_label(labelled, BINARY)
    assert str(caught.value) == (
        f"{BINARY}: its SELinux label cannot be set: Operation not permitted. Fix: chcon --type"
        f" bin_t {BINARY}"
    )


def test_a_kernel_that_does_not_say(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/selinux/enforce").mkdir(parents=True)
    assert not check.enforcing(Root(tmp_path))


# One run


@pytest.fixture
def plugin(tmp_path: Path) -> str:
    """The program itself, started as a console script starts it."""
    path = tmp_path / "plugin"
    source = Path(__file__).parents[2] / "src"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(source)!r})\n"
        "from gcp_sa_credential_provider.__main__ import main\nmain()\n"
    )
    path.chmod(0o755)
    return str(path)


def test_it_refuses_a_request_without_a_token(plugin: str) -> None:
    assert run_once(HERE, plugin, {"GCP_AUDIENCE": AUDIENCE}) == []


def test_it_is_not_configured(plugin: str) -> None:
    [problem] = run_once(HERE, plugin, {})
    assert problem.startswith(f"{plugin}: run as the kubelet would, it ended with 2 and said ")
    assert "expected 2 and REQUEST-NO-TOKEN" in problem
    assert "GCP_AUDIENCE" in problem


def test_it_is_something_else() -> None:
    [problem] = run_once(HERE, "/bin/cat", {})
    assert problem.startswith("/bin/cat: run as the kubelet would, it ended with 0 and said")


def test_it_cannot_be_run(tmp_path: Path) -> None:
    path = tmp_path / "plugin"
    path.write_bytes(elf(9999))
    path.chmod(stat.S_IRWXU)
    [problem] = run_once(HERE, str(path), {})
    assert problem.startswith(f"{path}: cannot be run: Exec format error. Fix: ")
