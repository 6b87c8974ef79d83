"""Edits of a host's files, told and done; what will be there before it is."""

import json
from pathlib import Path

import pytest
import yaml

from gcp_sa_credential_provider.node import change
from gcp_sa_credential_provider.node.change import Edit, Link, Remove, Was, Write
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.planned import Planned
from gcp_sa_credential_provider.node.validate import File, config_hash


@pytest.fixture
def root(tmp_path: Path) -> Root:
    """A small host."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/file").write_text("one\n")
    (tmp_path / "etc/file").chmod(0o600)
    (tmp_path / "etc/link").symlink_to("file")
    return Root(tmp_path)


NEWLINE = b"\n"
NEW = "--- /dev/null\n+++ /n\n@@ -0,0 +1 @@\n"
EDITS: list[Edit] = [
    Write("/etc/file", b"two\n"),
    Write("/srv/a/b", b"", 0o755),
    Link("/etc/new", "file"),
    Link("/etc/file", "elsewhere"),
    Remove("/etc/link"),
    Remove("/etc/none"),
]


@pytest.mark.parametrize("edit", EDITS)
def test_what_was_foretold_is_there(root: Root, edit: Edit) -> None:
    """And a second time there is nothing to do."""
    expected = change.after(root, edit)
    folders = change.missing_folders(root, [edit])
    change.do(root, edit)
    assert change.now(root, edit.path) == expected
    assert change.is_done(root, edit)
    assert expected.absent == isinstance(edit, Remove)
    assert folders == (["/srv", "/srv/a"] if edit.path == "/srv/a/b" else [])


def test_a_file_keeps_its_mode(root: Root) -> None:
    assert change.after(root, Write("/etc/file", b"", 0o755)).mode == 0o600


def test_neither_file_nor_link(root: Root) -> None:
    with pytest.raises(OSError, match="is neither a file nor a link"):
        change.now(root, "/etc")


def test_real_places(root: Root) -> None:
    """Where a link leads is written; a link itself is replaced or removed."""
    (root.path / "conf").symlink_to("/etc")
    assert change.settled(root, Write("/conf/link", b"")) == Write("/etc/file", b"")
    assert change.settled(root, Link("/conf/link", "x")) == Link("/etc/link", "x")
    assert change.settled(root, Remove("/conf/link")) == Remove("/etc/link")


@pytest.mark.parametrize(
    ("edit", "lines"),
    [
        (
            Write("/etc/file", b"two"),
            "--- /etc/file\n+++ /etc/file\n@@ -1 +1 @@\n-one\n+two\n\\ No newline at end of file\n",
        ),
        (Write("/n", b"a\n"), NEW + "+a\n"),
        (Remove("/etc/file"), "--- /etc/file\n+++ /dev/null\n@@ -1 +0,0 @@\n-one\n"),
        (Remove("/etc/link"), "/etc/link: removed (link)\n"),
        (Link("/n", "a"), "/n -> a (link)\n"),
        (
            Write("/n", b"#!/bin/sh\n"),
            f"/n: program, 10 bytes, sha256 {change.digest(b'#!/bin/sh' + NEWLINE)}\n",
        ),
        (
            Write("/n", b"proxy: http://me:s@cr:et@proxy:1 and http://me@proxy\n"),
            NEW + "+proxy: http://***@proxy:1 and http://***@proxy\n",
        ),
    ],
)
def test_told(root: Root, edit: Edit, lines: str) -> None:
    """A diff of texts, without passwords."""
    assert "".join(change.told(root, edit)) == lines


ENTRY = """\
- name: ecr
  env:
  - name: AWS_SECRET_ACCESS_KEY
    value: SECRET
  - value: SECRET
    name: BEFORE_ITS_NAME
  - {name: FLOW, value: "SECRET, and more"}
- name: us
  env:
  - name: GCP_AUDIENCE
    value: //iam.googleapis.com/x
  - name: HTTPS_PROXY
    value: tokenSECRET@proxy:3128
  - {name: GCP_LOG, value: "off"}
  - {name: SSL_CERT_FILE, value: /etc/ssl/cert.pem}
"""


@pytest.mark.parametrize(
    "text",
    [
        ENTRY,
        json.dumps(yaml.safe_load(ENTRY)),
        json.dumps(yaml.safe_load(ENTRY), indent=1),
        "[Service]\nEnvironment=HTTPS_PROXY=user:SECRET@proxy:1 NO_PROXY=a\n",
        "[Service]\nEnvironment='http_proxy=http://user:SEC/RET@proxy:1'\n",
    ],
)
def test_told_without_secrets(root: Root, text: str) -> None:
    """Values of variables but our own, and whatever stands before the host of an address."""
    shown = "".join(change.told(root, Write("/n", text.encode())))
    assert "SEC" not in shown.replace("AWS_SECRET_ACCESS_KEY", "").replace("SECRET_ACC", "")
    if text == ENTRY:
        for public in ("value: //iam.googleapis.com/x", 'value: "off"', "/etc/ssl/cert.pem"):
            assert public in shown


def test_told_without_what_stands_around_it(root: Root) -> None:
    """Lines that stay are others' and say nothing of the change."""
    root.write("/etc/file", b"a\nSECRET\nb\n", 0o600)
    shown = "".join(change.told(root, Write("/etc/file", b"a\nSECRET\nb\nours\n")))
    assert "SECRET" not in shown
    assert "+ours\n" in shown


def test_told_of_a_program_that_goes(root: Root) -> None:
    root.write("/etc/program", b"\x7fELF\0", 0o755)
    assert list(change.told(root, Remove("/etc/program"))) == ["/etc/program: removed\n"]


def test_was() -> None:
    assert Was().absent
    assert not Was(link="a").absent
    assert not Was(change.digest(b"")).absent


def test_planned_files(root: Root) -> None:
    edits: list[Edit] = [Write("/etc/file", b"new"), Link("/etc/x", "file"), Remove("/etc/link")]
    planned = Planned(root, edits)
    assert planned.read("/etc/file") == b"new"
    assert planned.read("/etc/x") == b"new"
    assert planned.read("/etc/link") is None
    assert planned.read("/etc/none") is None


def test_planned_programs(root: Root) -> None:
    (root.path / "bin").mkdir()
    for name, mode in (("old", 0o755), ("no", 0o644)):
        root.write(f"/bin/{name}", b"", mode)
    edits: list[Edit] = [
        Write("/bin/new", b"", 0o755),
        Write("/bin/no", b"", 0o755),
        Write("/bin/text", b"", 0o644),
        Link("/bin/link", "new"),
        Link("/bin/far", "/bin/old"),
        Remove("/bin/gone"),
    ]
    planned = Planned(root, edits)
    names = ("old", "no", "new", "text", "link", "far", "gone", "none", "")
    found = {name for name in names if planned.executable(f"/bin/{name}")}
    assert found == {"old", "new", "link", "far"}


def test_planned_folder(root: Root) -> None:
    """Its files in the kubelet's order, those to come too; no folders, no others' endings."""
    for name in ("b.yaml", "a.json", "c.txt", ".d.yml"):
        root.write(f"/etc/{name}", name.encode(), 0o644)
    (root.path / "etc/sub.yaml").mkdir()
    edits: list[Edit] = [Write("/etc/aa.yaml", b"new"), Remove("/etc/b.yaml")]
    expected = [
        File("/etc/.d.yml", b".d.yml"),
        File("/etc/a.json", b"a.json"),
        File("/etc/aa.yaml", b"new"),
    ]
    planned = Planned(root, edits)
    assert planned.config("/etc") == expected
    assert planned.hash("/etc", (1, 34)) == config_hash([b".d.yml", b"a.json", b"new"])
    assert planned.hash("/etc", (1, 33)) is None
    assert Planned(root, [Write("/x/y.yaml", b"1")]).config("/x") == [File("/x/y.yaml", b"1")]


def test_planned_links_that_lead_to_no_file(root: Root) -> None:
    """The kubelet would end on them, so they are named, and there is no hash."""
    (root.path / "conf.d").mkdir()
    edits: list[Edit] = [Link("/conf.d/a.json", "/none"), Link("/conf.d/b.yaml", "/etc")]
    (root.path / "conf.d/c.yml").symlink_to("/etc")
    planned = Planned(root, edits)
    expected = [File(f"/conf.d/{name}", None) for name in ("a.json", "b.yaml", "c.yml")]
    assert planned.config("/conf.d") == expected
    assert planned.hash("/conf.d", (1, 34)) is None


def test_planned_file(root: Root) -> None:
    assert Planned(root).config("/etc/link") == [File("/etc/link", b"one\n")]
    assert Planned(root).config("/none") == []
    assert Planned(root).hash("/none", (1, 37)) is None
