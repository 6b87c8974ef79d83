"""Whether the kubelet can run our program on this host: all that keeps a file from being executed.

Imports `command`, `files`. Rules: execve(2) (ENOEXEC, EACCES on a noexec mount), elf(5);
SELinux's file_contexts (a folder's type is what a new file in it gets; bin_t is what every domain
that may run programs may run; chcon lasts until the next relabelling, `semanage fcontext` lasts).
That others could replace the program is a fault as well: whoever writes it gets all pods' tokens.
"""

import os
import stat
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from gcp_sa_credential_provider.node import command
from gcp_sa_credential_provider.node.failure import Failed
from gcp_sa_credential_provider.node.files import Root

_REQUEST = (
    b'{"apiVersion":"credentialprovider.kubelet.k8s.io/v1","kind":"CredentialProviderRequest",'
    b'"image":"us-docker.pkg.dev/project/repository/image"}'
)
_EXPECTED_EXIT, _EXPECTED_CODE = 2, "REQUEST-NO-TOKEN"
_KUBELET_SECONDS = 60
_ENFORCE = "/sys/fs/selinux/enforce"
_RUNNABLE = "bin_t"
_MACHINES = {62: "x86_64", 183: "aarch64"}
"""e_machine of elf.h, by the kernel's names."""


def problems(root: Root, binary: str, bin_dir: str) -> list[str]:
    """What keeps it from being run, or from being safe; each with a fix. None: it is fine."""
    try:
        return [*_path(root, binary), *_file(root, binary), *_label(root, binary, bin_dir)]
    except OSError as error:
        return [f"{error.filename or binary}: {error.strerror}. Fix: run this as root"]


def exposed(root: Root, config: str) -> list[str]:
    """Who but root may change the configuration, and so have pods' tokens sent elsewhere."""
    found = list(_path(root, config))
    there = root.stat(config)
    return found + (list(_others(config, there)) if there else [])


def _path(root: Root, binary: str) -> Iterator[str]:
    """Every folder on the way, with links followed, and those that the links themselves are in."""
    for path in root.passed(binary):
        # /proc/1/root is a link itself.
        found = root.path.stat() if path == "/" else root.stat(path)
        if found is None:
            continue
        mode = stat.S_IMODE(found.st_mode)
        if not stat.S_ISDIR(found.st_mode):
            yield f"{path}: not a folder. Fix: put the program elsewhere"
        elif found.st_uid != 0:
            yield f"{path}: owned by user {found.st_uid}. Fix: chown root {path}"
        elif mode & stat.S_IWOTH or (mode & stat.S_IWGRP and found.st_gid != 0):
            yield f"{path}: others may write in it (mode {mode:04o}). Fix: chmod go-w {path}"
        elif not mode & stat.S_IXUSR:
            yield f"{path}: may not be entered (mode {mode:04o}). Fix: chmod 0755 {path}"


def _file(root: Root, binary: str) -> Iterator[str]:
    found = root.stat(binary)
    if found is None or not stat.S_ISREG(found.st_mode):
        yield f"{binary}: no file. Fix: put the static file there"
        return
    yield from _others(binary, found)
    mode = stat.S_IMODE(found.st_mode)
    if not mode & stat.S_IXUSR:
        yield f"{binary}: not executable (mode {mode:04o}). Fix: chmod 0755 {binary}"
    if os.statvfs(root.outside(binary)).f_flag & os.ST_NOEXEC:
        yield (
            f"{binary}: on a file system that is mounted noexec. Fix: mount it without (mount -o"
            f" remount,exec), or choose another folder of providers"
        )
    yield from _machine(root, binary)


def _others(path: str, found: os.stat_result) -> Iterator[str]:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != 0:
        yield f"{path}: owned by user {found.st_uid}. Fix: chown root {path}"
    if mode & stat.S_IWOTH or (mode & stat.S_IWGRP and found.st_gid != 0):
        yield f"{path}: others may write it (mode {mode:04o}). Fix: chmod go-w {path}"


def _machine(root: Root, binary: str) -> Iterator[str]:
    with Path(root.outside(binary)).open("rb") as file:
        head = file.read(256)
    if head.startswith(b"#!"):
        words = head[2:].split(b"\n")[0].split()
        interpreter = words[0].decode("utf-8", "replace") if words else ""
        if not interpreter.startswith("/") or root.stat(interpreter) is None:
            yield (
                f"{binary}: its interpreter {interpreter!r} is not on this host. Fix: use the"
                " static file"
            )
        return
    if not head.startswith(b"\x7fELF") or len(head) < 20:
        yield f"{binary}: no program. Fix: put the static file there"
        return
    order = "<" if head[5] == 1 else ">"
    number = struct.unpack_from(f"{order}H", head, 18)[0]
    here = os.uname().machine
    made_for = _MACHINES.get(number, f"machine {number}")
    if made_for != here:
        yield f"{binary}: for {made_for}, but this is {here}. Fix: use the static file for {here}"


def enforcing(root: Root) -> bool:
    """Whether SELinux keeps files of a wrong type from being run."""
    try:
        return (root.read(_ENFORCE) or b"").strip() == b"1"
    except OSError:
        return False


def _label(root: Root, binary: str, bin_dir: str) -> Iterator[str]:
    if not enforcing(root):
        return
    label = root.label(binary)
    if _type(label) != _RUNNABLE:
        yield (
            f"{binary}: SELinux label {label or 'none'}, of which the kubelet may not run files."
            f" Fix: {'; '.join(_commands(bin_dir))}"
        )


def _type(label: str | None) -> str:
    parts = (label or "").split(":")
    return parts[2] if len(parts) > 2 else ""


def _commands(folder: str) -> tuple[str, str]:
    return (
        f"semanage fcontext --add --type {_RUNNABLE} '{folder}(/.*)?'",
        f"restorecon -RF {folder}",
    )


def set_label(root: Root, path: str) -> list[str]:
    """Where SELinux enforces, let the file at `path` be run, now and after a relabelling.

    Returns what a person is to know. Raises Failed: it cannot be labelled.
    """
    if not enforcing(root):
        return []
    real = root.resolve(path)
    try:
        label = root.label(real)
        if _type(label) == _RUNNABLE:
            return []
        parts = (label or "system_u:object_r:unlabeled_t:s0").split(":")
        parts[2] = _RUNNABLE
        root.set_label(real, ":".join(parts))
    except OSError as error:
        raise Failed(
            f"{path}: its SELinux label cannot be set: {error.strerror}. Fix: chcon --type"
            f" {_RUNNABLE} {path}"
        ) from None
    add = ["semanage", "fcontext", "--add", "--type", _RUNNABLE, real]
    try:
        ended = command.run(root, add)
        why = "" if ended.code == 0 or "already defined" in ended.said else ended.said
    except Failed as failed:
        why = str(failed).partition(". Fix: ")[0]
    if why:
        return [
            f"{path}: labelled {_RUNNABLE} until the next relabelling ({why}). Fix: {' '.join(add)}"
        ]
    return []


def forget_label(root: Root, path: str) -> list[str]:
    """Take back what `set_label` has told of a path that is no more; what a person is to know."""
    if not enforcing(root):
        return []
    delete = ["semanage", "fcontext", "--delete", root.resolve(path)]
    try:
        ended = command.run(root, delete)
    except Failed:
        return []  # where there is no semanage, there was none to add it
    if ended.code == 0 or "not defined" in ended.said:
        return []
    return [f"{path}: SELinux goes on having a rule for it ({ended.said}). Fix: {' '.join(delete)}"]


def run_once(root: Root, binary: str, environment: Mapping[str, str]) -> list[str]:
    """What is wrong with how it refuses a request without a token, run as the kubelet would.

    `environment`: of its entry.
    """
    try:
        ended = command.run(
            root,
            [binary],
            environment={**environment, "GCP_LOG": "off"},
            input=_REQUEST,
            seconds=_KUBELET_SECONDS,
        )
    except Failed as failed:
        return [str(failed)]
    if ended.code == _EXPECTED_EXIT and _EXPECTED_CODE in ended.errors and not ended.output:
        return []
    said = f"it ended with {ended.code} and said {ended.said!r}"
    expected = f"{_EXPECTED_EXIT} and {_EXPECTED_CODE}"
    return [
        (
            f"{binary}: run as the kubelet would, {said}; expected {expected}. Fix: what it says;"
            " else see that it is the right file for this host"
        )
    ]
