"""Foreign text made fit to be shown: printable, short, without secrets."""

import time

_WINDOW = 8  # characters in a row that also stand in a secret are part of it
_MASK = "[REDACTED]"


def redact(text: str, secrets: "list[str]") -> str:
    """Mask every run of `text` that also stands in a secret.

    A peer may echo a token whole, cut or wrapped: so it is compared by short windows. A secret
    shorter than a window (a proxy's password) is masked where it stands whole. A text that shows a
    secret only when what is between its characters is left out is masked as a whole.
    """
    for secret in secrets:
        if 0 < len(secret) < _WINDOW:
            text = text.replace(secret, _MASK)
    long = [secret for secret in secrets if len(secret) >= _WINDOW]
    out: list[str] = []
    at = 0
    while at < len(text):
        end = at + _WINDOW
        if end <= len(text) and any(text[at:end] in secret for secret in long):
            while end < len(text) and any(text[end - _WINDOW + 1 : end + 1] in s for s in long):
                end += 1
            out.append(_MASK)
            at = end
        else:
            out.append(text[at])
            at += 1
    masked = "".join(out)
    bare = _bare(masked)
    windows = [bare[at : at + _WINDOW] for at in range(len(bare) - _WINDOW + 1)]
    if any(window in secret for secret in map(_bare, long) for window in windows):
        return _MASK
    return masked


def _bare(text: str) -> str:
    return "".join(c for c in text if c > " " and c.isprintable())


def printable(text: str, longest: int) -> str:
    """One line of at most `longest` ASCII characters: blanks for white space, `?` for the rest."""
    text = " ".join(text[: 2 * longest].split())
    if not (text.isascii() and text.isprintable()):
        text = "".join(c if " " <= c <= "~" else "?" for c in text)
    return text if len(text) <= longest else text[: longest - 3] + "..."


def moment(seconds: "int | None") -> str:
    """Unix seconds as RFC 3339; MISSING where absent."""
    if seconds is None:
        return "MISSING"
    try:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
    except (OverflowError, ValueError, OSError):
        return str(seconds)
