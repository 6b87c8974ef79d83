"""What systemd is told about a unit, read as it reads it."""

from pathlib import Path

import pytest

from gcp_sa_credential_provider.node import unit
from gcp_sa_credential_provider.node.files import Root
from gcp_sa_credential_provider.node.unit import quoted, words


def tree(folder: Path, files: dict[str, str]) -> Root:
    """A host's files."""
    for path, text in files.items():
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return Root(folder)


def test_a_unit_that_is_not_there(tmp_path: Path) -> None:
    assert unit.read(Root(tmp_path), "kubelet.service") is None


def test_an_earlier_folder_wins(tmp_path: Path) -> None:
    files = {
        "/usr/lib/systemd/system/a.service": "[Service]\nExecStart=/usr\n",
        "/etc/systemd/system/a.service": "[Service]\nExecStart=/etc\n",
    }
    found = unit.read(tree(tmp_path, files), "a.service")
    assert found is not None
    assert (found.path, found.command) == ("/etc/systemd/system/a.service", "/etc")


def test_drop_ins_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    files = {
        "/etc/systemd/system/a-b.service": "[Service]\nExecStart=/own\nEnvironment=A=0\n",
        "/etc/systemd/system/a-b.service.d/20-x.conf": "[Service]\nEnvironment=A=20\n",
        "/usr/lib/systemd/system/a-b.service.d/10-x.conf": "[Service]\nEnvironment=A=10\n",
        "/usr/lib/systemd/system/a-b.service.d/20-x.conf": "[Service]\nEnvironment=A=hidden\n",
        "/etc/systemd/system/a-.service.d/15-x.conf": "[Service]\nEnvironment=A=15\n",
        "/etc/systemd/system/service.d/05-x.conf": "[Service]\nEnvironment=A=5\n",
        "/etc/systemd/system/a-b.service.d/90-x.txt": "[Service]\nEnvironment=A=90\n",
    }
    found = unit.read(tree(tmp_path, files), "a-b.service")
    assert found is not None
    assert found.values("Environment") == ["A=0", "A=5", "A=10", "A=15", "A=20"]
    left = unit.read(Root(tmp_path), "a-b.service", without="20-x.conf")
    assert left is not None
    assert left.values("Environment")[-1] == "A=15"


def test_an_empty_value_empties_the_list(tmp_path: Path) -> None:
    text = (
        "[Service]\nExecStart=/first\nExecStart=\nExecStart=-@/second x\n[Unit]\nExecStart=/not\n"
    )
    found = unit.read(tree(tmp_path, {"/lib/systemd/system/a.service": text}), "a.service")
    assert found is not None
    assert (found.values("ExecStart"), found.command) == (["-@/second x"], "/second x")


def test_a_template_serves_its_instances(tmp_path: Path) -> None:
    files = {"/etc/systemd/system/kubelet@.service": "[Service]\nExecStart=/k %i\n"}
    found = unit.read(tree(tmp_path, files), "kubelet@blue.service")
    assert found is not None
    assert found.command == "/k %i"


def test_lines_go_on_and_comments_do_not_count(tmp_path: Path) -> None:
    text = (
        "# [Service]\n[Service]\n; ExecStart=/no\nExecStart = /k \\\n"
        "  # in the middle\n\n  --a \\\n  --b\nno setting\nType=simple"
    )
    found = unit.read(tree(tmp_path, {"/lib/systemd/system/a.service": text}), "a.service")
    assert found is not None
    assert [word.meant for word in words(found.command)] == ["/k"]
    assert found.values("Type") == ["simple"]


def test_a_last_line_that_would_go_on(tmp_path: Path) -> None:
    text = "[Service]\nExecStart=/k \\\n  --a \\"
    found = unit.read(tree(tmp_path, {"/lib/systemd/system/a.service": text}), "a.service")
    assert found is not None
    assert [word.meant for word in words(found.command)] == ["/k", "--a"]


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("/k  --a=b\t--c", ["/k", "--a=b", "--c"]),
        ("""/k "--a=b c" '--d="e"' --f="g h"i""", ["/k", "--a=b c", '--d="e"', "--f=g hi"]),
        (r"/k a\sb \"c\" d\\e \x", ["/k", "a b", '"c"', r"d\e", "x"]),
        ("", []),
        ("  ", []),
        ("$A ${B} %n", ["$A", "${B}", "%n"]),
    ],
)
def test_words(line: str, meant: list[str]) -> None:
    assert [word.meant for word in words(line)] == meant


@pytest.mark.parametrize(
    "meant", ["a", "a b", 'a"b', "it's", "a\\b", "a;b", "", "a\nb", "--a=$B %n"]
)
def test_what_is_quoted_means_the_same(meant: str) -> None:
    assert [word.meant for word in words(f"/k {quoted(meant)} x")] == ["/k", meant, "x"]
