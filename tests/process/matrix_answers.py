"""The fault matrix, first half: what stands in Google's answers."""

from process.raw_server import (
    chunked,
    endlessly,
    exchanged,
    http,
    json_answer,
    says,
    slowly,
    then_waits,
)
from process.stage import (
    SUCCESS,
    Case,
    budget,
    case,
    fault,
    iam,
    iam_status,
    impersonating,
    oauth,
    raw,
    raw_iam,
    redirect,
    says_json,
    status,
    token,
)

_HTML = "<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"
_BODY = exchanged()
_GOOD = http(_BODY, "Content-Type: application/json")
_DATED = ("Date: Tue, 24 Nov 2026 16:00:00 GMT",)
_HEAD = b"HTTP/1.1 200 OK\r\n"
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def _retry(seconds: str) -> dict[str, str]:
    return {"Retry-After": seconds}


STATUSES: list[Case] = [
    case("400 unknown to us", "STS-REFUSED", oauth(400, "new_error", "New text."), tries=1),
    case("400 without a body", "ANSWER-NOT-JSON", status(400), tries=1),
    case("400 with an empty object", "STS-REFUSED", status(400, {}), tries=1),
    case("400 with odd types", "STS-REFUSED", status(400, {"error": [1], "error_description": 7})),
    case("400 with odd details", "STS-REFUSED", status(400, {"error": {"details": [7, "x"]}})),
    case("401", "STS-REFUSED", oauth(401, "invalid_client"), tries=1),
    case("402", "STS-REFUSED", oauth(402, "x"), tries=1),
    case("403 as a page", "ANSWER-HTML", status(403, _HTML), tries=1),
    case(
        "403 service disabled",
        "STS-DISABLED",
        status(403, {"error": {"code": 403, "details": [{"reason": "SERVICE_DISABLED"}]}}),
        tries=1,
    ),
    case("404", "STS-REFUSED", oauth(404, "not_found"), tries=1),
    case("408 for ever", "STS-UNAVAILABLE", oauth(408, "timeout"), tries=4),
    case("408 once", SUCCESS, oauth(408, "timeout", times=1), tries=2),
    case("413", "STS-REFUSED", oauth(413, "too_large"), tries=1),
    case("429 for ever", "STS-QUOTA", fault("quota"), tries=4),
    case("429 once", SUCCESS, fault("quota", times=1), tries=2),
    case("429 three times", SUCCESS, fault("quota", times=3), tries=4),
    case("429 without a text", "STS-QUOTA", status(429, {}), tries=4),
    case("500 for ever", "STS-UNAVAILABLE", oauth(500, "internal"), tries=4),
    case("500 as a page", "STS-UNAVAILABLE", status(500, _HTML), tries=4),
    case("502 twice", SUCCESS, status(502, _HTML, times=2), tries=3),
    case("503 once", SUCCESS, status(503, times=1), tries=2),
    case("503 three times", SUCCESS, status(503, times=3), tries=4),
    case("503 four times", "STS-UNAVAILABLE", status(503, times=4), tries=4),
    case("504 for ever", "STS-UNAVAILABLE", status(504), tries=4),
    case("599", "STS-UNAVAILABLE", status(599), tries=4),
    case(
        "first 503, then a refusal",
        "STS-REFUSED",
        status(503, times=1, name="a"),
        oauth(400, "x"),
        tries=2,
    ),
    case(
        "first 503, then silence",
        "STS-UNAVAILABLE",
        status(503, times=1, name="a"),
        fault("stall"),
        budget(3),
    ),
    case(
        "first 429, then broken off",
        "STS-QUOTA",
        fault("quota", times=1),
        fault("reset"),
        tries=4,
    ),
    *(
        case(f"redirect {code}", "ANSWER-REDIRECT", redirect(code), tries=1)
        for code in (301, 302, 303, 307, 308)
    ),
    case("304", "ANSWER-REDIRECT", status(304), tries=1),
    case("204 without content", "ANSWER-NOT-JSON", status(204), tries=1),
    case("captive portal", "ANSWER-HTML", fault("captive_portal"), tries=1),
    case(
        "Retry-After within the budget", SUCCESS, status(503, times=1, headers=_retry("1")), tries=2
    ),
    case("Retry-After beyond it", "STS-UNAVAILABLE", status(503, headers=_retry("3600")), tries=1),
    case(
        "429 with Retry-After beyond", "STS-QUOTA", status(429, {}, headers=_retry("60")), tries=1
    ),
    case(
        "Retry-After of ten digits",
        SUCCESS,
        status(503, times=1, headers=_retry("1" * 10)),
        tries=2,
    ),
    case("Retry-After negative", SUCCESS, status(503, times=1, headers=_retry("-5")), tries=2),
    case("Retry-After in words", SUCCESS, status(503, times=1, headers=_retry("soon")), tries=2),
    case(
        "Retry-After as a date long past",
        SUCCESS,
        status(503, times=1, headers=_retry("Thu, 01 Jan 1970 00:00:00 GMT")),
        tries=2,
    ),
    case(
        "Retry-After as a date far ahead",
        "STS-UNAVAILABLE",
        status(503, headers=_retry("Fri, 31 Dec 9999 23:59:59 GMT")),
        tries=1,
    ),
]

TOKENS: list[Case] = [
    *(
        case(f"token {name}", "ANSWER-FIELD", token(value))
        for name, value in {
            "empty": "",
            "null": None,
            "a number": 7,
            "true": True,
            "a list": ["ya29.x"],
            "an object": {"a": "b"},
            "with CR LF": "ya29.x\r\nX-Injected: 1",
            "with LF": "ya29.x\n",
            "with NUL": "ya29.x\0",
            "with DEL": "ya29.x\x7f",
            "with ESC": "ya29.\x1b[31m",
            "with a blank": "ya29.x y",
            "beyond ASCII": "ya29.\u00e4",
            "with a lone surrogate": "ya29.\ud800",
            "with U+2028": "ya29.\u2028",
            "of 12289 bytes": "y" * 12289,
        }.items()
    ),
    case("token of 12288 bytes", SUCCESS, token("y" * 12288)),
    case("token of a megabyte", "ANSWER-LARGE", token("y" * 1048576), tries=1),
    case("no token", "ANSWER-FIELD", says_json({"token_type": "Bearer"})),
    case("an array", "ANSWER-NOT-JSON", says_json([{"access_token": "x"}])),
    case("a string", "ANSWER-NOT-JSON", says_json("ya29.x")),
    case("null", "ANSWER-NOT-JSON", says_json(None)),
    *(
        case(f"JSON {name}", "ANSWER-NOT-JSON", raw(says(http(body))))
        for name, body in {
            "cut": _BODY[:-1],
            "with more behind": _BODY + b"x",
            "twice": _BODY * 2,
            "in UTF-16": _BODY.decode().encode("utf-16"),
            "with a byte order mark": b"\xef\xbb\xbf" + _BODY,
            "with invalid UTF-8": _BODY.replace(b"Bearer", b"\xff\xfe"),
            "with NUL": _BODY + b"\0",
            "with NaN": _BODY.replace(b"3598", b"NaN"),
            "with Infinity": _BODY.replace(b"3598", b"-Infinity"),
            "with a raw newline": _BODY.replace(b"Bearer", b"Bea\nrer"),
            "nested deeply": b"[" * 30000 + b"]" * 30000,
            "of objects nested deeply": b'{"a":' * 10000 + b"1" + b"}" * 10000,
            "with a number of 5000 digits": b'{"expires_in":' + b"9" * 5000 + b"}",
            "empty": b"",
            "of blanks": b" " * 1000,
            "compressed without being asked": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
        }.items()
    ),
    *(
        case(
            f"expires_in {name}",
            SUCCESS,
            raw(says(http(exchanged(expires_in=value)))),
            cached=seconds,
        )
        for name, value, seconds in (
            ("of an hour", 3600, 3000),
            ("of a minute", 60, 0),
            ("negative", -1, 0),
            ("huge", 10**1000, 42600),
            ("as a float", 3598.5, 0),
            ("as a string", "3600", 3000),
            ("in words", "an hour", 0),
            ("true", True, 0),
            ("null", None, 0),
        )
    ),
    case("an unknown field", SUCCESS, raw(says(http(exchanged(new={"a": [1]}))))),
]

HTTP: list[Case] = [
    case("an endless body", "ANSWER-LARGE", fault("endless"), tries=1),
    case("an endless head", "ANSWER-LARGE", raw(endlessly(_HEAD, b"X-A: b\r\n" * 99)), tries=1),
    case("an endless line", "ANSWER-LARGE", raw(endlessly(_HEAD, b"a" * 4096)), tries=1),
    case("an endless status line", "ANSWER-LARGE", raw(endlessly(b"HTTP/1.1 200 ", b"O" * 4096))),
    case("a body of 64 KiB and one", "ANSWER-LARGE", raw(says(http(b" " * 65537)))),
    case("64 KiB and one, unannounced", "ANSWER-LARGE", raw(says(_HEAD + b"\r\n" + b" " * 65537))),
    case("a body of 64 KiB", SUCCESS, raw(says(http(_BODY.ljust(65536))))),
    case("no length, closed at the end", SUCCESS, raw(says(_HEAD + b"\r\n" + _BODY))),
    case("HTTP/1.0", SUCCESS, raw(says(_GOOD.replace(b"1.1", b"1.0", 1)))),
    case("kept open behind the body", SUCCESS, raw(then_waits(_GOOD))),
    case("more behind the body", SUCCESS, raw(says(_GOOD + b"HTTP/1.1 500 X\r\n\r\n"))),
    case("headers in odd cases", SUCCESS, raw(says(_GOOD.replace(b"Content-L", b"cOnTeNt-l")))),
    case("no reason phrase", SUCCESS, raw(says(_GOOD.replace(b" OK", b"", 1)))),
    case(
        "an informational 100 before", SUCCESS, raw(says(b"HTTP/1.1 100 Continue\r\n\r\n" + _GOOD))
    ),
    case(
        "an informational 103 before",
        SUCCESS,
        raw(says(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + _GOOD)),
    ),
    case(
        "100 for ever",
        "ANSWER-MALFORMED",
        raw(endlessly(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 50)),
    ),
    case("drip, fast enough", SUCCESS, fault("drip", chunk=512, interval=0.001), tries=1),
    case("drip beyond the budget", "ANSWER-TIMEOUT", fault("drip", interval=0.2), budget(3)),
    case("drip of the head", "ANSWER-TIMEOUT", raw(slowly(_GOOD, 0.2)), budget(3)),
    case("stall before the head", "ANSWER-TIMEOUT", fault("stall"), budget(3)),
    case("stall behind the head", "ANSWER-TIMEOUT", fault("stall", after=0), budget(3)),
    case("stall in the body", "ANSWER-TIMEOUT", fault("stall", after=9), budget(3)),
    case("latency beyond the budget", "ANSWER-TIMEOUT", fault("latency", seconds=60), budget(3)),
    case("latency within it", SUCCESS, fault("latency", seconds=0.2), tries=1),
    case("two seconds of stall, then well", SUCCESS, fault("stall", times=1), budget(5), tries=2),
    *(
        case(f"not HTTP: {name}", "ANSWER-MALFORMED", raw(then_waits(data + b"\r\n\r\n")), tries=1)
        for name, data in {
            "SSH": b"SSH-2.0-OpenSSH_9.2",
            "HTTP/2": b"HTTP/2 200",
            "HTTP/3.0": b"HTTP/3.0 200 OK",
            "a status in words": b"HTTP/1.1 OK",
            "a status of two digits": b"HTTP/1.1 20 OK",
            "a status of four digits": b"HTTP/1.1 2000 OK",
            "no status": b"HTTP/1.1",
            "a page": b"<html>",
            "a TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
            "control characters": b"\x1b[2J\x07\x00\x7f\x9b\xff",
        }.items()
    ),
    *(
        case(
            f"Content-Length {value[:9]}",
            code,
            raw(says(_HEAD + f"Content-Length: {value}\r\n\r\n{{}}".encode())),
        )
        for value, code in {
            "-1": "ANSWER-MALFORMED",
            "+2": "ANSWER-MALFORMED",
            "2, 2": "ANSWER-MALFORMED",
            "0x2": "ANSWER-MALFORMED",
            "": "ANSWER-MALFORMED",
            "65537": "ANSWER-LARGE",
            "9" * 20: "ANSWER-MALFORMED",
        }.items()
    ),
    case("a body shorter than its length", "ANSWER-CUT", raw(says(_GOOD[:-1])), tries=4),
]

CHUNKS: list[Case] = [
    case("one chunk", SUCCESS, raw(says(chunked(_BODY)))),
    case("chunks of one byte", SUCCESS, raw(says(chunked(*(bytes([b]) for b in _BODY))))),
    case(
        "a chunk extension",
        SUCCESS,
        raw(
            says(
                chunked(_BODY)
                .replace(b"\r\n\r\n", b"\r\n\r\n0", 1)
                .replace(b"\r\n{", b";a=b\r\n{", 1)
            )
        ),
    ),
    case("a trailer", SUCCESS, raw(says(chunked(_BODY)[:-2] + b"X-A: b\r\n\r\n"))),
    *(
        case(f"chunk {name}", code, raw(says(_CHUNKED + data)))
        for name, (data, code) in {
            "without a size": (b"\r\n{}\r\n0\r\n\r\n", "ANSWER-MALFORMED"),
            "with a negative size": (b"-2\r\n{}\r\n0\r\n\r\n", "ANSWER-MALFORMED"),
            "with a size in words": (b"two\r\n{}\r\n0\r\n\r\n", "ANSWER-MALFORMED"),
            "with a prefix": (b"0x2\r\n{}\r\n0\r\n\r\n", "ANSWER-MALFORMED"),
            "with nine digits": (b"000000002\r\n{}\r\n0\r\n\r\n", "ANSWER-MALFORMED"),
            "too short": (b"1\r\n{}\r\n0\r\n\r\n", "ANSWER-MALFORMED"),
            "too long": (b"3\r\n{}\r\n0\r\n\r\n", "ANSWER-MALFORMED"),
            "of 4 GiB": (b"ffffffff\r\n{}", "ANSWER-LARGE"),
            "cut in its data": (b"9\r\n{}", "ANSWER-CUT"),
            "cut in its size": (b"9", "ANSWER-CUT"),
            "never last": (b"2\r\n{}\r\n", "ANSWER-CUT"),
        }.items()
    ),
    case("chunks for ever", "ANSWER-LARGE", raw(endlessly(_CHUNKED, b"1\r\n \r\n" * 500))),
    case(
        "a chunk extension for ever", "ANSWER-LARGE", raw(endlessly(_CHUNKED + b"2;", b"x" * 4096))
    ),
]

IMPERSONATION: list[Case] = [
    case(
        "IAM 400 of the lifetime",
        "IAM-LIFETIME",
        impersonating,
        iam_status(400, "lifetimes of more than 1 hour"),
        tries=1,
    ),
    case("IAM 400 else", "IAM-REFUSED", impersonating, iam_status(400, "no"), tries=1),
    case("IAM 401", "IAM-TOKEN", impersonating, iam_status(401, "no"), tries=1),
    case(
        "IAM 403 of the permission",
        "IAM-DENIED",
        impersonating,
        iam_status(403, "Permission 'iam.serviceAccounts.getAccessToken' denied on resource"),
        tries=1,
    ),
    case("IAM 403 else", "IAM-REFUSED", impersonating, iam_status(403, "no"), tries=1),
    case(
        "IAM 403 disabled",
        "IAM-DISABLED",
        impersonating,
        iam_status(403, "X API has not been used in project 7"),
        tries=1,
    ),
    case("IAM 404", "IAM-ACCOUNT", impersonating, iam_status(404, "no"), tries=1),
    case("IAM 429 for ever", "IAM-QUOTA", impersonating, iam_status(429, "no"), tries=4),
    case("IAM 500 for ever", "IAM-UNAVAILABLE", impersonating, iam_status(500, "no"), tries=4),
    case(
        "IAM 503 once, then silence",
        "IAM-UNAVAILABLE",
        impersonating,
        iam_status(503, "no", times=1),
        iam("stall"),
        budget(3),
    ),
    case("IAM 503 once", SUCCESS, impersonating, iam_status(503, "no", times=1), tries=2),
    case("IAM captive portal", "ANSWER-HTML", impersonating, iam("captive_portal"), tries=1),
    case("IAM reset", "ANSWER-CUT", impersonating, iam("reset", after=5), tries=4),
    case("IAM stall", "ANSWER-TIMEOUT", impersonating, iam("stall"), budget(3)),
    case("IAM endless", "ANSWER-LARGE", impersonating, iam("endless"), tries=1),
    case("IAM garbage", "ANSWER-MALFORMED", impersonating, iam("garbage"), tries=1),
    case(
        "IAM redirect",
        "ANSWER-REDIRECT",
        impersonating,
        iam("status", status=307, headers={"Location": "http://127.0.0.1:1/"}),
        tries=1,
    ),
    *(
        case(
            f"IAM answers with {name}",
            expected,
            impersonating,
            raw_iam(says(json_answer(document))),
        )
        for name, document, expected in (
            ("no token", {"expireTime": "2026-11-24T16:00:00Z"}, "ANSWER-FIELD"),
            ("CR LF in the token", {"accessToken": "a\r\nb"}, "ANSWER-FIELD"),
            ("a list", [], "ANSWER-NOT-JSON"),
        )
    ),
    *(
        case(
            f"IAM expireTime {name}",
            SUCCESS,
            impersonating,
            raw_iam(says(json_answer({"accessToken": "ya29.a", **fields}, *dated))),
            cached=seconds,
        )
        for name, fields, dated, seconds in (
            ("absent", {}, _DATED, 0),
            ("in words", {"expireTime": "tomorrow"}, _DATED, 0),
            ("of another type", {"expireTime": 7}, _DATED, 0),
            ("without a Date", {"expireTime": "2026-11-24T17:00:00Z"}, (), 0),
            ("in an hour", {"expireTime": "2026-11-24T17:00:00Z"}, _DATED, 3000),
            ("in the past", {"expireTime": "2026-11-24T15:00:00Z"}, _DATED, 0),
            ("in a year", {"expireTime": "2027-11-24T16:00:00Z"}, _DATED, 3000),
        )
    ),
]
