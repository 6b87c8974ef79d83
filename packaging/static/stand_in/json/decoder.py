"""What `_json` takes from json.decoder to say where a text is malformed, without `re`."""


class JSONDecodeError(ValueError):
    """As in the standard library: `pos` is the index in the document."""

    def __init__(self, msg: str, doc: str, pos: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.doc = doc
        self.pos = pos
