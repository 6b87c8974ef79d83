"""render/write.py: the directory, its manifest, and what is nobody's business there."""

import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gcp_sa_credential_provider.render import write
from gcp_sa_credential_provider.render.write import BadOut, Changes

FILES = {"README.md": "read\n", "a/x.yaml": "x: 1\n", "google/run.sh": "#!/bin/sh\necho\n"}
Tree = dict[str, bytes | str | None]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A place for the directory, which is not there yet."""
    return tmp_path / "out"


def tree(folder: Path) -> Tree:
    """Everything below: bytes of files, targets of links, None for folders."""

    def entry(path: Path) -> bytes | str | None:
        if path.is_symlink():
            return str(path.readlink())
        return path.read_bytes() if path.is_file() else None

    found = {str(path.relative_to(folder)): entry(path) for path in sorted(folder.rglob("*"))}
    return found if folder.exists() else {".": "not there"}


def refused(out: Path, files: dict[str, str]) -> str:
    """What is said; nothing changed, and comparing changes nothing either."""
    before = tree(out.parent)
    with pytest.raises(BadOut) as refusal:
        write.write(out, files)
    assert tree(out.parent) == before
    assert " Fix: " in str(refusal.value)
    return str(refusal.value)


def test_a_new_directory(out: Path) -> None:
    """With those above it; scripts may be run, and nothing else is there."""
    deep = out / "down/here"
    assert write.write(deep, FILES) == Changes((".rendered", *sorted(FILES)), ())
    assert tree(deep) == {
        ".rendered": write.manifest(FILES).encode(),
        "README.md": b"read\n",
        "a": None,
        "a/x.yaml": b"x: 1\n",
        "google": None,
        "google/run.sh": b"#!/bin/sh\necho\n",
    }
    modes = {path: (deep / path).stat().st_mode & 0o7777 for path in FILES}
    assert modes == {"README.md": 0o644, "a/x.yaml": 0o644, "google/run.sh": 0o755}


def test_modes_do_not_depend_on_the_umask(out: Path) -> None:
    """What is to be read by others can be."""
    before = os.umask(0o077)
    try:
        write.write(out, FILES)
    finally:
        os.umask(before)
    assert (out / "README.md").stat().st_mode & 0o777 == 0o644
    assert (out / "google/run.sh").stat().st_mode & 0o777 == 0o755


def test_the_manifest_lists_the_files() -> None:
    """Sorted, one on a line."""
    head, *lines = write.manifest({"b": "", "a/c": ""}).splitlines()
    assert head.startswith("# ")
    assert lines == ["a/c", "b"]


def test_again_touches_nothing(out: Path) -> None:
    """Not even the times of the files."""
    write.write(out, FILES)
    before = {path: path.stat().st_ctime_ns for path in out.rglob("*")}
    assert write.write(out, FILES) == Changes((), ())
    assert {path: path.stat().st_ctime_ns for path in out.rglob("*")} == before
    assert write.compare(out, FILES) == ""


def test_a_clone_has_other_modes(out: Path) -> None:
    """Git keeps no more than whether a file runs."""
    write.write(out, FILES)
    (out / "README.md").chmod(0o664)
    (out / "google/run.sh").chmod(0o775)
    assert write.compare(out, FILES) == ""
    assert write.write(out, FILES) == Changes((), ())
    (out / "google/run.sh").chmod(0o664)
    (out / "README.md").chmod(0o755)
    assert write.compare(out, FILES) == (
        f"{out}/README.md: mode 0755, to be 0644\n{out}/google/run.sh: mode 0644, to be 0755\n"
    )
    assert write.write(out, FILES) == Changes(("README.md", "google/run.sh"), ())
    assert write.compare(out, FILES) == ""


def test_what_is_no_longer_made_goes(out: Path) -> None:
    """With the folders that are empty then; the files of others stay."""
    write.write(out, {**FILES, "b/c/d.yaml": "1\n", "b/c/e.yaml": "1\n", "f/g.yaml": "1\n"})
    (out / "f/backend.tf").write_text("theirs\n")
    (out / "theirs").mkdir()
    changes = write.write(out, FILES)
    assert changes == Changes((".rendered",), ("b/c/d.yaml", "b/c/e.yaml", "f/g.yaml"))
    assert (out / "f/backend.tf").read_text() == "theirs\n"
    assert (out / "theirs").is_dir()
    assert not (out / "b").exists()
    assert (out / ".rendered").read_text() == write.manifest(FILES)


def test_what_somebody_removed_is_no_loss(out: Path) -> None:
    """A file of the manifest need not be there."""
    write.write(out, {**FILES, "gone.yaml": "1\n"})
    (out / "gone.yaml").unlink()
    assert write.write(out, FILES) == Changes((".rendered",), ())


def test_edits_are_overwritten(out: Path) -> None:
    """The files say so themselves."""
    write.write(out, FILES)
    (out / "README.md").write_text("mine\n")
    (out / "a/x.yaml").unlink()
    assert write.write(out, FILES).written == ("README.md", "a/x.yaml")
    assert write.compare(out, FILES) == ""


def test_a_file_is_replaced_not_rewritten(out: Path) -> None:
    """Who has it open, or has another name for it, keeps what was there."""
    write.write(out, FILES)
    other = out.parent / "other-name"
    other.hardlink_to(out / "README.md")
    write.write(out, {**FILES, "README.md": "new\n"})
    assert other.read_text() == "read\n"
    assert (out / "README.md").read_text() == "new\n"


def test_an_empty_directory(out: Path) -> None:
    out.mkdir()
    write.write(out, FILES)
    assert write.compare(out, FILES) == ""


def test_a_directory_of_somebody_else(out: Path) -> None:
    out.mkdir()
    (out / "fleet.yaml").write_text("version: 1\n")
    assert refused(out, FILES) == (
        f"{out}: holds files, and no .rendered: they were not written by render. Fix: name a new"
        " or an empty directory"
    )


def test_a_place_that_is_taken(out: Path) -> None:
    """A file of somebody else where a new one of ours belongs."""
    write.write(out, FILES)
    (out / "b").mkdir()
    (out / "b/new.yaml").write_text("theirs\n")
    said = refused(out, {**FILES, "README.md": "new\n", "b/new.yaml": "ours\n"})
    assert said.startswith(f"{out}/b/new.yaml: is there already, and was not written by render.")


@pytest.mark.parametrize("linked", ["README.md", "a", "a/x.yaml", ".rendered"])
def test_links_are_not_followed(out: Path, linked: str) -> None:
    """Neither to write nor to read."""
    write.write(out, FILES)
    elsewhere = out.parent / "elsewhere"
    (out / linked).rename(elsewhere)
    (out / linked).symlink_to(elsewhere)
    assert refused(out, {**FILES, "README.md": "new\n"}).startswith(
        f"{out}/{linked}: is a symbolic link. Fix:"
    )
    with pytest.raises(BadOut, match="is a symbolic link"):
        write.compare(out, FILES)


def test_a_link_in_the_place_of_a_file_to_be_removed(out: Path) -> None:
    write.write(out, {**FILES, "b/old.yaml": "1\n"})
    (out / "b").rename(out.parent / "elsewhere")
    (out / "b").symlink_to(out.parent / "elsewhere")
    assert refused(out, FILES).startswith(f"{out}/b: is a symbolic link")


def test_the_directory_itself(out: Path) -> None:
    """It must be one."""
    real = out.parent / "real"
    real.mkdir()
    out.symlink_to(real)
    assert refused(out, FILES).startswith(f"{out}: is a symbolic link. Fix: name the directory")
    out.unlink()
    out.write_text("a file\n")
    assert refused(out, FILES).startswith(f"{out}: is not a directory. Fix: name a new")
    assert refused(out / "below", FILES).startswith(f"{out}/below: cannot be used (Not a dir")
    with pytest.raises(BadOut, match="is not a directory"):
        write.compare(out, FILES)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("a/x.yaml", "is no regular file, and a file belongs here. Fix: move it away"),
        ("a", "is a file, and a folder belongs here. Fix: move it away"),
    ],
)
def test_another_kind_of_thing(out: Path, place: str, said: str) -> None:
    write.write(out, FILES)
    (out / "a/x.yaml").unlink()
    if place == "a":
        (out / "a").rmdir()
        (out / "a").write_text("a file\n")
    else:
        os.mkfifo(out / "a/x.yaml")
    with pytest.raises(BadOut) as refusal:
        write.write(out, {**FILES, "README.md": "new\n"})
    assert str(refusal.value) == f"{out}/{place}: {said}"
    assert (out / "README.md").read_text() == "read\n"
    with pytest.raises(BadOut):
        write.compare(out, FILES)


@pytest.mark.parametrize(
    "line",
    ["../outside", "/etc/passwd", "a/../../outside", "a//b", "./a", ".rendered", ".rendering/0"],
)
def test_a_manifest_that_leads_outside(out: Path, line: str) -> None:
    """Whoever wrote it, nothing is removed by it."""
    (out.parent / "outside").write_text("keep\n")
    write.write(out, FILES)
    with (out / ".rendered").open("a") as manifest:
        manifest.write(f"{line}\n")
    number = len((out / ".rendered").read_text().splitlines())
    assert refused(out, FILES) == (
        f"{out}/.rendered: line {number} names no file of this directory. Fix: restore it, or"
        " remove the whole directory and render again"
    )
    with pytest.raises(BadOut, match="names no file of this directory"):
        write.compare(out, FILES)


def test_one_run_at_a_time(out: Path) -> None:
    write.write(out, FILES)
    descriptor = os.open(out, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        said = refused(out, {**FILES, "README.md": "new\n"})
    finally:
        os.close(descriptor)
    assert said == f"{out}: another run writes here. Fix: wait until it has ended"
    assert write.write(out, {**FILES, "README.md": "new\n"}).written == ("README.md",)


def test_a_name_that_the_file_system_does_not_take(out: Path) -> None:
    """What fails before the end leaves no trace: neither files nor folders."""
    long = "n" * 300
    for path in (f"b/{long}/x.yaml", f"b/c/{long}"):
        assert "(File name too long)" in refused(out, {**FILES, path: "1\n"})
    write.write(out, FILES)
    assert "(File name too long)" in refused(out, {**FILES, f"b/{long}/x.yaml": "1\n"})


class Killed(BaseException):
    """What ends a run at once."""


@pytest.mark.parametrize("former", [{}, {"old.yaml": "1\n", "README.md": "old\n"}])
@pytest.mark.parametrize("renamed", range(5))
def test_a_run_that_was_cut_short(
    out: Path, monkeypatch: pytest.MonkeyPatch, former: dict[str, str], renamed: int
) -> None:
    """Wherever it ended, the next run completes it: the manifest knows of every file."""
    if former:
        write.write(out, former)
    real = Path.replace
    left = iter(range(renamed))

    def replace(self: Path, target: Path) -> Path:
        if next(left, None) is None:
            raise Killed
        return real(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", replace)
        with pytest.raises(Killed):
            write.write(out, FILES)
    if former or renamed < len(FILES) + 1:
        assert write.compare(out, FILES) != ""
    write.write(out, FILES)
    assert write.compare(out, FILES) == ""
    assert write.strangers(out, FILES) == []
    assert sorted(path.name for path in out.iterdir()) == [".rendered", "README.md", "a", "google"]


def test_what_a_killed_run_left_is_cleared(out: Path) -> None:
    """Even where it had not yet written its manifest."""
    (out / ".rendering").mkdir(parents=True)
    (out / ".rendering/0").write_text("half\n")
    (out / "a").mkdir()
    assert write.strangers(out, FILES) == []
    write.write(out, FILES)
    assert not (out / ".rendering").exists()
    assert write.compare(out, FILES) == ""


NOBODY = 65534


@contextmanager
def unprivileged() -> Iterator[None]:
    """Root may write everywhere; nobody may not."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)


@pytest.fixture
def theirs() -> Iterator[Path]:
    """A rendered directory of somebody without privileges, where they may go."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        out = Path(folder) / "out"
        Path(folder).chmod(0o755)
        write.write(out, FILES)
        if os.geteuid() == 0:
            for path in (Path(folder), out, *out.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
        yield out
        for path in (Path(folder), out, out / "a"):
            path.chmod(0o755)


@pytest.mark.parametrize(
    ("place", "mode", "said"),
    [
        (".", 0o555, ": cannot be written. Fix: correct its rights"),
        ("a", 0o555, "/a: cannot be written. Fix: correct its rights"),
        ("a", 0o000, "/a/x.yaml: cannot be read (Permission denied). Fix: correct its rights"),
        (".", 0o333, ": cannot be read (Permission denied). Fix: correct its rights"),
        ("README.md", 0o000, "/README.md: cannot be read (Permission denied). Fix: correct its"),
    ],
)
def test_without_the_rights(theirs: Path, place: str, mode: int, said: str) -> None:
    """Nothing is changed, not even what could be."""
    before = tree(theirs)
    (theirs / place).chmod(mode)
    with unprivileged(), pytest.raises(BadOut) as refusal:
        write.write(theirs, {**FILES, "README.md": "new\n", "a/x.yaml": "new\n"})
    assert str(refusal.value).startswith(f"{theirs}{said}")
    (theirs / place).chmod(0o755)
    assert tree(theirs) == before


def test_no_room_beside_the_files(theirs: Path) -> None:
    """Only a file further down changes, but new ones are made complete at the top first."""
    theirs.chmod(0o555)
    with unprivileged(), pytest.raises(BadOut) as refusal:
        write.write(theirs, {**FILES, "a/x.yaml": "new\n"})
    assert str(refusal.value) == (
        f"{theirs}: cannot be written (Permission denied). Fix: correct its rights or make room,"
        " and run this again"
    )
    assert (theirs / "a/x.yaml").read_text() == "x: 1\n"


def test_no_right_to_make_it(theirs: Path) -> None:
    """Where the folder above is somebody else's."""
    theirs.parent.chmod(0o555)
    with unprivileged():
        with pytest.raises(BadOut) as refusal:
            write.write(theirs.parent / "new/out", FILES)
        assert str(refusal.value).startswith(f"{theirs.parent}/new: cannot be written (Permission")
        theirs.chmod(0o000)
        with pytest.raises(BadOut, match=r"below: cannot be used \(Permission denied\)\. Fix: "):
            write.write(theirs / "below", FILES)


def test_comparing_a_directory_that_is_not_there(out: Path) -> None:
    """Every file is missing, and none is made."""
    assert write.compare(out, {"a": "1\n"}) == (
        f"--- /dev/null\n+++ {out}/.rendered\n@@ -0,0 +1,2 @@\n"
        f"+{write.manifest({'a': ''}).splitlines()[0]}\n+a\n"
        f"--- /dev/null\n+++ {out}/a\n@@ -0,0 +1 @@\n+1\n"
    )
    assert write.strangers(out, FILES) == []
    assert not out.exists()


def test_what_differs(out: Path) -> None:
    """Changed, missing and left over, in the order of the paths."""
    write.write(out, {**FILES, "z.yaml": "z\n"})
    (out / "README.md").write_text("read\nmore")
    (out / "a/x.yaml").unlink()
    assert write.compare(out, FILES) == (
        f"--- {out}/.rendered\n+++ {out}/.rendered\n@@ -2,4 +2,3 @@\n"
        " README.md\n a/x.yaml\n google/run.sh\n-z.yaml\n"
        f"--- {out}/README.md\n+++ {out}/README.md\n@@ -1,2 +1 @@\n"
        " read\n-more\n\\ No newline at end of file\n"
        f"--- /dev/null\n+++ {out}/a/x.yaml\n@@ -0,0 +1 @@\n+x: 1\n"
        f"--- {out}/z.yaml\n+++ /dev/null\n@@ -1 +0,0 @@\n-z\n"
    )


def test_a_diff_is_fit_for_a_terminal(out: Path) -> None:
    """Whatever somebody wrote there; and nothing that differs is taken for the same."""
    write.write(out, FILES)
    (out / "README.md").write_bytes(b"\x1b[2Jread\r\n\xff\t\xe2\x80\xae\n\\x1b\n")
    difference = write.compare(out, FILES)
    assert "-\\x1b[2Jread\\r\n-\\udcff\t\\u202e\n-\\x1b\n+read\n" in difference
    (out / "README.md").write_bytes(b"\x1b\n")
    assert write.compare(out, {**FILES, "README.md": "\\x1b\n"}).endswith("-\\x1b\n+\\x1b\n")


def test_files_of_others_are_told(out: Path) -> None:
    """A folder without any of ours by its name alone; links are not followed."""
    write.write(out, {**FILES, "old/b.yaml": "1\n"})
    for path in (".git/objects/x", "google/backend.tf", "google/.terraform/y", "old/mine"):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (out / path).write_text("theirs\n")
    (out / "a/link").symlink_to(out.parent)
    assert write.strangers(out, FILES) == [
        ".git/",
        "a/link",
        "google/.terraform/",
        "google/backend.tf",
        "old/mine",
    ]
