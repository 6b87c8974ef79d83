"""A host's file tree: links stay inside it, what is written is whole."""

import errno
import os
import shutil
import stat
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from gcp_sa_credential_provider.node.files import Root


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A small host."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/real").write_text("content")
    return Root(tmp_path)


@pytest.mark.parametrize(
    ("target", "leads_to"),
    [
        ("real", "/etc/real"),
        ("/etc/real", "/etc/real"),
        ("../../../../etc/real", "/etc/real"),
        ("/../etc//./real", "/etc/real"),
        ("/nowhere/at/all", "/nowhere/at/all"),
    ],
)
def test_links_stay_inside(root: Root, target: str, leads_to: str) -> None:
    """An absolute one begins at the host's root, and no `..` leads above that."""
    (root.path / "etc/link").symlink_to(target)
    assert root.resolve("/etc/link") == leads_to
    assert root.outside("/etc/link") == root.path / leads_to[1:]
    assert root.readlink("/etc/link") == target
    status = root.lstat("/etc/link")
    assert status is not None
    assert stat.S_ISLNK(status.st_mode)
    assert (root.read("/etc/link") == b"content") == (leads_to == "/etc/real")


def test_a_folder_that_is_a_link(root: Root) -> None:
    (root.path / "run").symlink_to("/var/run")
    (root.path / "var").mkdir()
    assert root.mkdir("/run/a/b") == ["/var/run", "/var/run/a", "/var/run/a/b"]
    root.write("/run/a/b/c", b"1", 0o640)
    assert (root.path / "var/run/a/b/c").read_bytes() == b"1"
    assert root.listdir("/run/a/b") == ["c"]


def test_a_loop(root: Root) -> None:
    (root.path / "a").symlink_to("b")
    (root.path / "b").symlink_to("a")
    with pytest.raises(OSError, match=r"loop|Too many") as raised:
        root.read("/a")
    assert raised.value.errno == errno.ELOOP


def test_relative_paths_are_for_nobody(root: Root) -> None:
    with pytest.raises(ValueError, match="is not absolute"):
        root.read("etc/real")


def test_what_is_not_there(root: Root) -> None:
    assert root.read("/etc/none") is None
    assert root.read("/etc/real/below") is None
    assert root.stat("/etc/none") is None
    assert root.lstat("/etc/none") is None
    assert root.listdir("/etc/none") == []
    assert root.listdir("/etc/real") == []
    assert root.readlink("/etc/none") is None
    assert root.readlink("/etc/real") is None
    root.remove("/etc/none")
    assert root.rmdir("/etc/none")


def test_write_a_new_file(root: Root) -> None:
    """Its mode is the one asked for, whatever the umask."""
    before = os.umask(0o077)
    try:
        root.write("/etc/new", b"1", 0o644)
        root.mkdir("/srv/x")
    finally:
        os.umask(before)
    assert stat.S_IMODE((root.path / "etc/new").stat().st_mode) == 0o644
    assert stat.S_IMODE((root.path / "srv").stat().st_mode) == 0o755


def test_only_the_last_folder_has_the_mode_that_was_asked_for(root: Root) -> None:
    """A machine whose /var is root's alone does not work."""
    root.mkdir("/var/lib/ours", 0o700)
    modes = [
        stat.S_IMODE((root.path / path).stat().st_mode)
        for path in ("var", "var/lib", "var/lib/ours")
    ]
    assert modes == [0o755, 0o755, 0o700]


def test_a_disk_that_is_full(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the file, which the kernel's own does not; what was there stays."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as raised:
        root.write("/etc/real", b"new", 0o644)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, "/etc/real")
    assert root.listdir("/etc") == ["real"]
    assert root.read("/etc/real") == b"content"


def test_a_folder_is_not_read(root: Root) -> None:
    with pytest.raises(IsADirectoryError) as raised:
        root.read("/etc")
    assert raised.value.filename == "/etc"


def test_write_over_a_file(root: Root) -> None:
    """Mode and owner are those of before; the file is another, so that who reads it reads on."""
    file = root.path / "etc/real"
    file.chmod(0o604)
    if os.geteuid() == 0:
        os.chown(file, 12, 34)
    before = file.stat()
    with file.open() as reader:
        root.write("/etc/real", b"new", 0o777)
        assert reader.read() == "content"
    after = file.stat()
    assert file.read_bytes() == b"new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert root.listdir("/etc") == ["real"]


def test_write_through_a_link(root: Root) -> None:
    (root.path / "etc/link").symlink_to("/etc/real")
    root.write("/etc/link", b"new", 0o644)
    assert (root.path / "etc/real").read_bytes() == b"new"
    assert root.readlink("/etc/link") == "/etc/real"


def test_a_folder_is_not_written_over(root: Root) -> None:
    with pytest.raises(OSError, match="is no regular file"):
        root.write("/etc", b"", 0o644)
    with pytest.raises(OSError, match="is a folder"):
        root.link("/etc", "x")
    with pytest.raises(FileNotFoundError):
        root.write("/none/x", b"", 0o644)
    assert root.listdir("/") == ["etc"]


def test_links_are_replaced_and_removed(root: Root) -> None:
    root.link("/etc/link", "a")
    root.link("/etc/link", "real")
    assert root.readlink("/etc/link") == "real"
    root.remove("/etc/link")
    assert root.listdir("/etc") == ["real"]


def test_a_killed_writer_is_swept_up(root: Root) -> None:
    """What it left is not in the way of the next one, and can be removed."""
    left = root.path / "etc/.real.gcp-sa-credential-provider-new"
    left.write_text("half")
    root.write("/etc/real", b"whole", 0o644)
    assert root.listdir("/etc") == ["real"]
    left.write_text("half")
    root.sweep("/etc/real")
    root.sweep("/etc/real")
    assert root.listdir("/etc") == ["real"]


def test_a_name_as_long_as_names_may_be(root: Root) -> None:
    name = "n" * 255
    root.write(f"/etc/{name}", b"1", 0o644)
    assert name in root.listdir("/etc")


def test_folders_that_are_not_empty_stay(root: Root) -> None:
    assert not root.rmdir("/etc")
    (root.path / "etc/real").unlink()
    assert root.rmdir("/etc")
    assert root.listdir("/") == []


def test_writable(root: Root) -> None:
    """Of what is still to be made, the folder above it counts."""
    assert root.writable("/etc/new")
    assert root.writable("/a/b/c")
    if os.geteuid():
        (root.path / "etc").chmod(0o555)
        assert not root.writable("/etc/new")


def access_list(user: int) -> bytes:
    """One that lets a user read besides the owner (linux/posix_acl_xattr.h)."""
    nobody = 0xFFFFFFFF
    entries = ((0x01, 6, nobody), (0x02, 4, user), (0x04, 0, nobody), (0x10, 4, nobody))
    return struct.pack("<I", 2) + b"".join(
        struct.pack("<HHI", *entry) for entry in (*entries, (0x20, 0, nobody))
    )


def set_access_list(file: Path, name: str) -> bytes:
    listed = access_list(1234)
    try:
        os.setxattr(file, name, listed)
    except OSError as error:
        pytest.skip(f"no access control list can be set here: {error.strerror}")
    return listed


def test_an_access_control_list_stays(root: Root) -> None:
    """Whom an administrator lets read the file still may."""
    file = root.path / "etc/real"
    listed = set_access_list(file, "system.posix_acl_access")
    root.write("/etc/real", b"new", 0o600)
    assert file.read_bytes() == b"new"
    assert os.getxattr(file, "system.posix_acl_access") == listed


def test_no_access_control_list_comes(root: Root) -> None:
    """A folder may have one for new files; what replaces an old file is no new one."""
    file = root.path / "etc/real"
    file.chmod(0o640)
    set_access_list(root.path / "etc", "system.posix_acl_default")
    root.write("/etc/real", b"new", 0o600)
    assert "system.posix_acl_access" not in os.listxattr(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_somebodys_file_with_the_capabilities_of_the_charts_pods(root: Root) -> None:
    """CHOWN and DAC_OVERRIDE are enough: CAP_FOWNER is not among them."""
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is not installed. Fix: apt-get install util-linux")
    file = root.path / "etc/real"
    file.chmod(0o640)
    set_access_list(file, "system.posix_acl_access")
    os.chown(file, 1234, 1234)
    code = (
        "import sys; from pathlib import Path;"
        " from gcp_sa_credential_provider.node.files import Root;"
        " Root(Path(sys.argv[1])).write('/etc/real', b'new', 0o600)"
    )
    few = "--bounding-set=-all,+chown,+dac_override,+sys_chroot,+sys_ptrace"
    subprocess.run(["setpriv", few, sys.executable, "-c", code, root.path], check=True)
    assert file.read_bytes() == b"new"
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 1234)
    assert "system.posix_acl_access" in os.listxattr(file)


def test_labels(root: Root) -> None:
    """SELinux' attribute goes along, where the file system takes one."""
    assert root.label("/etc/real") is None
    try:
        root.set_label("/etc/real", "system_u:object_r:bin_t:s0")
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM):
            pytest.skip(f"no label can be set here: {error.strerror}")
        raise
    root.write("/etc/real", b"new", 0o644)
    assert root.label("/etc/real") == "system_u:object_r:bin_t:s0"
