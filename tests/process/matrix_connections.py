"""The fault matrix, second half: what becomes of the connection to Google."""

import ssl

from process.raw_server import exchanged, http, resets, says, then_waits
from process.stage import (
    SUCCESS,
    Case,
    budget,
    case,
    fault,
    full_backlog,
    proxy_with_full_backlog,
    raw,
    raw_proxy,
    refusing,
    setting,
    through,
    tls_server,
)

_GOOD = http(exchanged())

CONNECTIONS: list[Case] = [
    case("refused", "CONNECT-REFUSED", setting(GCP_STS_ENDPOINT="https://127.0.0.1:1")),
    case("refused on IPv6", "CONNECT-REFUSED", setting(GCP_STS_ENDPOINT="https://[::1]:1")),
    case("no answer to SYN", "CONNECT-TIMEOUT", full_backlog, budget(3)),
    case("an IPv6 literal", SUCCESS, raw(says(_GOOD), host="::1"), tries=1),
    case("closed before the answer", "ANSWER-CUT", fault("close"), tries=4),
    case("closed behind the head", "ANSWER-CUT", fault("close", after=0), tries=4),
    case("closed in the body", "ANSWER-CUT", fault("close", after=100), tries=4),
    case("closed once", SUCCESS, fault("close", times=1), tries=2),
    case("closed three times", SUCCESS, fault("close", after=3, times=3), tries=4),
    case("reset before the answer", "ANSWER-CUT", fault("reset"), tries=4),
    case("reset behind the head", "ANSWER-CUT", fault("reset", after=0), tries=4),
    case("reset in the body", "ANSWER-CUT", fault("reset", after=100), tries=4),
    case("reset once", SUCCESS, fault("reset", times=1), tries=2),
    case("garbage for an answer", "ANSWER-MALFORMED", fault("garbage"), tries=1),
    case("plain: closed before the answer", "ANSWER-CUT", raw(says(b"")), tries=4),
    case("plain: closed in the status line", "ANSWER-CUT", raw(says(b"HTTP/1.")), tries=4),
    case("plain: closed in the head", "ANSWER-CUT", raw(says(b"HTTP/1.1 200 OK\r\nA:")), tries=4),
    case("plain: reset before the answer", "ANSWER-CUT", raw(resets()), tries=4),
    case("plain: reset in the head", "ANSWER-CUT", raw(resets(b"HTTP/1.1 200 OK\r\n")), tries=4),
    case("plain: cut twice, then well", SUCCESS, raw(says(b"", b"HTTP", _GOOD)), tries=3),
]

TLS: list[Case] = [
    case("untrusted certificate", "TLS-UNTRUSTED", setting(GCP_STS_ENDPOINT="{untrusted}")),
    case("expired certificate", "TLS-EXPIRED", setting(GCP_STS_ENDPOINT="{expired}")),
    case("certificate of another", "TLS-HOSTNAME", setting(GCP_STS_ENDPOINT="{wrong_host}")),
    case(
        "untrusted is final",
        "TLS-UNTRUSTED",
        fault("certificate", which="untrusted", times=1),
        tries=1,
    ),
    case("closed before TLS", "TLS-FAILED", fault("connect_close"), tries=4),
    case("closed before TLS once", SUCCESS, fault("connect_close", times=1), tries=1),
    case("reset before TLS, thrice", SUCCESS, fault("connect_reset", times=3), tries=3),
    case("reset before TLS once", SUCCESS, fault("connect_reset", times=1), tries=1),
    case("silence before TLS", "TLS-TIMEOUT", fault("connect_stall"), budget(3)),
    case("garbage for TLS", "TLS-FAILED", fault("connect_garbage"), tries=4),
    case("TLS to a plain port", "TLS-FAILED", setting(GCP_STS_ENDPOINT="https://{http}")),
    case("plain HTTP to a TLS port", "ANSWER-CUT", setting(GCP_STS_ENDPOINT="http://{https}")),
    case(
        "TLS 1.1",
        "TLS-FAILED",
        tls_server(
            says(_GOOD),
            minimum_version=ssl.TLSVersion.TLSv1,
            maximum_version=ssl.TLSVersion.TLSv1_1,
        ),
    ),
    case("TLS 1.2", SUCCESS, tls_server(says(_GOOD), maximum_version=ssl.TLSVersion.TLSv1_2)),
    case("TLS 1.3", SUCCESS, tls_server(says(_GOOD), minimum_version=ssl.TLSVersion.TLSv1_3)),
    case("TLS and silence", "ANSWER-TIMEOUT", tls_server(then_waits(b"")), budget(3)),
    case("TLS cut without close_notify", "ANSWER-CUT", tls_server(resets(_GOOD[:50])), tries=4),
    case("TLS by a name of ours", "TLS-HOSTNAME", tls_server(says(_GOOD), "localhost"), tries=1),
]

PROXIES: list[Case] = [
    case("proxy, open", SUCCESS, through("http://{proxy}")),
    case("proxy without a scheme", SUCCESS, through("{proxy}")),
    case("proxy refused", "PROXY-UNREACHABLE", through("http://127.0.0.1:1")),
    case("proxy says 407", "PROXY-AUTH", through("http://{proxy}"), refusing(407)),
    case(
        "proxy says 407 to a password", "PROXY-AUTH", through("http://u:p@{proxy}"), refusing(407)
    ),
    case("proxy says 403", "PROXY-DENIED", through("http://{proxy}"), refusing(403)),
    *(
        case(
            f"proxy says {status}",
            "PROXY-UNAVAILABLE",
            raw_proxy(says(b"HTTP/1.1 %d x\r\n\r\n" % status)),
            tries=4,
        )
        for status in (500, 502, 503, 504)
    ),
    case("proxy says 302", "PROXY-DENIED", raw_proxy(says(b"HTTP/1.1 302 Found\r\n\r\n"))),
    case(
        "proxy says 200 and closes",
        "TLS-FAILED",
        raw_proxy(says(b"HTTP/1.1 200 OK\r\n\r\n")),
        tries=4,
    ),
    case("proxy talks of other things", "PROXY-ANSWER", raw_proxy(says(b"220 smtp\r\n\r\n"))),
    case("proxy answers garbage", "PROXY-ANSWER", raw_proxy(says(b"\x00\xff\x1b[2J\r\n\r\n"))),
    case("proxy answers in a page", "PROXY-ANSWER", raw_proxy(says(b"<html>\r\n\r\n"))),
    case(
        "proxy answers without end",
        "PROXY-ANSWER",
        raw_proxy(says(b"HTTP/1.1 200 " + b"O" * 65536)),
    ),
    case("proxy closes", "PROXY-UNAVAILABLE", raw_proxy(says(b"")), tries=4),
    case(
        "proxy closes in its answer",
        "PROXY-UNAVAILABLE",
        raw_proxy(says(b"HTTP/1.1 200")),
        tries=4,
    ),
    case("proxy resets", "PROXY-UNAVAILABLE", raw_proxy(resets()), tries=4),
    case("proxy does not answer SYN", "PROXY-UNREACHABLE", proxy_with_full_backlog, budget(3)),
    case("proxy is silent", "PROXY-TIMEOUT", raw_proxy(then_waits(b"")), budget(3)),
    case(
        "proxy is silent in its answer", "PROXY-TIMEOUT", raw_proxy(then_waits(b"HTTP")), budget(3)
    ),
    case(
        "proxy opens to silence",
        "TLS-TIMEOUT",
        raw_proxy(then_waits(b"HTTP/1.1 200 OK\r\n\r\n")),
        budget(3),
    ),
    case(
        "proxy speaks first",
        "PROXY-ANSWER",
        raw_proxy(says(b"SSH-2.0-x\r\n\r\n"), listen_first=False),
    ),
]
