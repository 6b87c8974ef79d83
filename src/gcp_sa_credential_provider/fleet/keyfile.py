"""The files of keys beside a description: the only input of a plan but the description itself.

Imports google.keys.
"""

from pathlib import Path

from gcp_sa_credential_provider.google.keys import BadKeys, KeySet, usable

_LARGEST = 1024 * 1024  # bytes


def read(folder: Path, name: str) -> KeySet:
    """What Google takes of a file's keys. Raises BadKeys, which quotes no key."""
    try:
        with (folder / name).open("rb") as file:
            text = file.read(_LARGEST + 1)
    except OSError as error:
        raise BadKeys(
            f"it cannot be read ({error.strerror})",
            "save `kubectl get --raw /openid/v1/jwks` there, or correct the name",
        ) from None
    if len(text) > _LARGEST:
        raise BadKeys(f"it is longer than {_LARGEST} bytes", "name the right file")
    return usable(text)
