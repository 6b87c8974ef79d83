"""One structured record per exchange, for whoever must explain a pull afterwards.

A log never fails and never delays a pull: datagrams are sent without waiting, and a file is used
only where nobody but its owner could have put something else in its place. What cannot be logged
is dropped. Protocols: systemd's native journal protocol (JOURNAL_NATIVE_PROTOCOL), RFC 3164.
"""

import _socket
import posix
import time

from gcp_sa_credential_provider.plugin import jsonc

NAME = "gcp-sa-credential-provider"
JOURNAL = "/run/systemd/journal/socket"
SYSLOG = "/dev/log"
LARGEST_FILE = 10 * 1024 * 1024  # bytes; then it becomes NAME.1, whose predecessor goes

_INFO, _WARNING = 6, 4  # syslog severities
_DAEMON = 3 << 3  # syslog facility
_TYPE, _REGULAR = 0o170000, 0o100000
_OTHERS_WRITE = 0o022

Fields = dict[str, "str | int"]


def write(target: str, fields: Fields) -> None:
    """Log `fields` to `journal`, `syslog` or a file; "" is the journal where there is one."""
    try:
        if target in ("", "journal"):
            _send(JOURNAL, _journal(fields))
        elif target == "syslog":
            _send(SYSLOG, _syslog(fields))
        elif target != "off":
            _append(target, jsonc.dumps(fields).encode("ascii") + b"\n")
    except OSError:
        pass  # there is nobody left to tell: stderr says why a pull failed, not why a log did


def _severity(fields: Fields) -> int:
    return _INFO if fields["outcome"] == "OK" else _WARNING


def _journal(fields: Fields) -> bytes:
    """Every value framed by its length, so that no text can forge a field."""
    entry = {
        "MESSAGE": f"{fields['outcome']} {fields.get('image', '')}",
        "PRIORITY": _severity(fields),
        "SYSLOG_IDENTIFIER": NAME,
        **{f"GCP_SA_{key.upper()}": value for key, value in fields.items()},
    }
    out = b""
    for key, value in entry.items():
        data = str(value).encode("ascii", "replace")
        out += key.encode("ascii") + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
    return out


def _syslog(fields: Fields) -> bytes:
    stamp = time.strftime("%b %e %H:%M:%S", time.localtime())
    head = f"<{_DAEMON | _severity(fields)}>{stamp} {NAME}[{posix.getpid()}]: "
    return head.encode("ascii") + jsonc.dumps(fields).encode("ascii")


def _send(path: str, datagram: bytes) -> None:
    sock = _socket.socket(_socket.AF_UNIX, _socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)  # noqa: FBT003 -- the socket API's own signature
        sock.sendto(datagram, path)
    finally:
        sock.close()


def _append(path: str, line: bytes) -> None:
    """Append `line` in one piece. Raises OSError where the file or a directory is not safe."""
    directory, _, name = path.rpartition("/")
    folder = _open_directory(directory)
    try:
        fd = _open_log(folder, name)
        try:
            status = posix.fstat(fd)
            if status.st_size + len(line) > LARGEST_FILE:
                if _is_still(folder, name, status):
                    posix.rename(name, name + ".1", src_dir_fd=folder, dst_dir_fd=folder)
                posix.close(fd)
                fd = _open_log(folder, name)
            posix.write(fd, line)
        finally:
            posix.close(fd)
    finally:
        posix.close(folder)


def _is_still(folder: int, name: str, status: posix.stat_result) -> bool:
    """Whether the name is still that file's: another run may just have renamed it."""
    try:
        there = posix.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return (there.st_dev, there.st_ino) == (status.st_dev, status.st_ino)


def _open_directory(path: str) -> int:
    """Open a directory step by step, none of the steps a link or writable by others."""
    flags = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
    fd = posix.open("/", flags)
    try:
        for step in ["", *filter(None, path.split("/"))]:
            if step:
                inner = posix.open(step, flags, dir_fd=fd)
                posix.close(fd)
                fd = inner
            status = posix.fstat(fd)
            if status.st_uid not in (0, posix.geteuid()) or status.st_mode & _OTHERS_WRITE:
                raise PermissionError(f"others may write {step or '/'}")
    except OSError:
        posix.close(fd)
        raise
    return fd


def _open_log(folder: int, name: str) -> int:
    flags = posix.O_WRONLY | posix.O_APPEND | posix.O_CREAT
    flags |= posix.O_NOFOLLOW | posix.O_NONBLOCK | posix.O_CLOEXEC
    fd = posix.open(name, flags, 0o600, dir_fd=folder)
    status = posix.fstat(fd)
    regular = status.st_mode & _TYPE == _REGULAR
    if not regular or status.st_uid != posix.geteuid() or status.st_nlink != 1:
        posix.close(fd)
        raise PermissionError(f"{name} is not a file of our own")
    return fd
