"""How a command on a node ends other than well. Imports nothing.

`str()` of both says where, what (with evidence) and how to fix it.
"""


class Refused(Exception):  # noqa: N818 -- said of what was asked for
    """It cannot be done, and nothing was changed (exit 2)."""


class Failed(Exception):  # noqa: N818 -- as above
    """It was begun and did not end well; what was changed is back or named (exit 1)."""
