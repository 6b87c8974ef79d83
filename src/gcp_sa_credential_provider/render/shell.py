"""Commands of a bash script, quoted.

Imports nothing of ours. Rules: POSIX Shell Command Language, "Quoting".
"""

import shlex
from collections.abc import Sequence

_WIDTH = 100


class Verbatim(str):
    """A word that the shell is to expand: `"$HERE/jwks/prod.json"`."""

    __slots__ = ()


def command(words: Sequence[str], indent: str = "") -> str:
    """One command: on one line, or with its arguments below each other where that is too long."""
    quoted = [word if isinstance(word, Verbatim) else shlex.quote(word) for word in words]
    line = " ".join(quoted)
    if len(indent + line) > _WIDTH or "\n" in line:
        line = f" \\\n{indent}  ".join(quoted)
    return indent + line
