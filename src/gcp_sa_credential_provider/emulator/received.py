"""JSON that a client sent.

Imports the standard library. RFC 8259, section 8: a document is UTF-8.
"""

import json
from typing import Any


def loads(content: bytes | bytearray | str) -> Any:
    """The document. Raises ValueError and RecursionError.

    Half of a surrogate pair (section 8.2) is refused: no answer, log or file could have it.
    """
    return sound(json.loads(content))


def sound(document: Any) -> Any:
    """The same document, all of whose texts can be written. Raises ValueError, RecursionError."""
    json.dumps(document, ensure_ascii=False).encode()
    return document
