"""JSON over CPython's C module `_json`: the standard library's `json` imports `re` (RFC 8259)."""

import _json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

quote = _json.encode_basestring_ascii


class NotJson(ValueError):  # noqa: N818 -- says what the text is not
    """The bytes are not one JSON document in UTF-8; `str()` says why and quotes none of them."""


def _constant(name: str) -> "NoReturn":
    raise NotJson(f"{name} is not JSON")


class _Rules:
    """What `_json.make_scanner` reads from its argument (json/scanner.py of CPython)."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = staticmethod(_constant)
    memo: "dict[str, str]" = {}  # noqa: RUF012 -- the C scanner keeps its own


def loads(data: bytes) -> object:
    """Decode one JSON document. Raises NotJson, whatever is wrong with it."""
    try:
        text = data.decode("utf-8").strip(" \t\r\n")
        value, end = _json.make_scanner(_Rules)(text, 0)  # type: ignore[arg-type]  # typeshed: a JSONDecoder
    except UnicodeDecodeError as error:
        raise NotJson(f"invalid UTF-8 at byte {error.start}") from None
    except StopIteration as stop:
        raise NotJson("empty" if not text else f"no value at character {stop.value}") from None
    except RecursionError:
        raise NotJson("nested too deeply") from None
    except NotJson:
        raise
    except (ValueError, ImportError, SystemError) as error:
        # JSONDecodeError or a number of more than 4300 digits. _json takes JSONDecodeError from
        # json.decoder: where that was never imported, 3.11 and 3.12 end in SystemError, later ones
        # in ImportError if there is none. The position is all that may be told.
        position = getattr(error, "pos", None)
        where = "" if position is None else f" at character {position}"
        raise NotJson(f"malformed{where}") from None
    if end != len(text):
        raise NotJson(f"more after the document's end at character {end}")
    return value


def dumps(value: object) -> str:
    """Encode str, int, bool, None, and dicts and sequences of them, as ASCII JSON."""
    if isinstance(value, str):
        return quote(value)
    if value is None or value is True or value is False:
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, dict):
        return "{" + ",".join(f"{quote(key)}:{dumps(value[key])}" for key in value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    if isinstance(value, int):
        return str(value)
    raise TypeError(f"no JSON for {type(value).__name__}")
