"""Failure: the one exception of the plugin. A code of the catalogue and the evidence for it.

The texts stand in `messages.py`, which is imported only when a line is to be written.
"""


class Failure(Exception):  # noqa: N818 -- a failure is what it is: the exchange's, or the set-up's
    """The exchange cannot go on.

    `code` is a key of `messages.MESSAGES`; `evidence` fills the placeholders of its text. Evidence
    may quote what a peer sent: `line.explain` makes it printable, short and free of secrets.
    """

    def __init__(self, code: str, **evidence: object) -> None:
        super().__init__(code)
        self.code = code
        self.evidence = evidence
