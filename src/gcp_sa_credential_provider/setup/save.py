"""Writing: what would change, and all of it or nothing.

A file is written beside its place and renamed over it, with the mode that it had; through a
symbolic link, onto what that names.
"""

import contextlib
import difflib
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gcp_sa_credential_provider.cluster.failure import BadInput

_LARGEST = 16 * 1024 * 1024  # bytes


@dataclass(frozen=True)
class Change:
    """A file before and after."""

    path: Path
    before: str | None
    """None: it is not there."""
    after: str
    shown: bool = True
    """Whether `before` may be."""

    @property
    def needed(self) -> bool:
        """Whether anything changes."""
        return self.before != self.after

    def diff(self) -> str:
        """As `diff -u` shows it."""
        if not self.shown:
            size = len((self.before or "").encode())
            return f"{self.path}: replaced, {size} bytes, not shown\n"
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            self.after.splitlines(keepends=True),
            str(self.path) if self.before is not None else os.devnull,
            str(self.path),
        )
        return "".join(line if line.endswith("\n") else line + "\n" for line in lines)


def read(path: Path) -> str | None:
    """The text of a file; None if it is not there. Raises BadInput."""
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        what = f"cannot be read ({error.strerror})"
        raise BadInput(str(path), what, "correct the path or its permissions") from None
    if len(content) > _LARGEST:
        raise BadInput(str(path), f"is longer than {_LARGEST} bytes", "name the right file")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        what = f"is not UTF-8 (byte {error.start})"
        raise BadInput(str(path), what, "save it as UTF-8") from None


def write(changes: Sequence[Change]) -> None:
    """Write all files, in this order, or none. Raises BadInput."""
    with contextlib.ExitStack() as stack:
        ready: list[tuple[Path, Path]] = []
        for change in changes:
            if read(change.path) != change.before:
                raise BadInput(
                    str(change.path), "was changed by somebody else meanwhile", "run this again"
                )
            try:
                ready.append(_beside(change, stack))
            except OSError as error:
                what = f"cannot be written ({error.strerror})"
                raise BadInput(str(change.path), what, "correct the path or its rights") from None
        for temporary, place in ready:
            temporary.replace(place)


def _beside(change: Change, stack: contextlib.ExitStack) -> tuple[Path, Path]:
    """A complete file beside its place, removed at the end unless renamed."""
    place = change.path.resolve()
    temporary = place.parent / f".{place.name}.{secrets.token_hex(4)}"
    stack.callback(temporary.unlink, missing_ok=True)
    with temporary.open("x", encoding="utf-8", newline="") as file:
        file.write(change.after)
        file.flush()
        os.fsync(file.fileno())
    if place.exists():
        temporary.chmod(place.stat().st_mode & 0o777)
    return temporary, place
