"""One POST over HTTP/1.1 (RFC 9112), with its tries. A connection serves one request.

| what happened | tried again |
|---|---|
| the name server did not answer | yes |
| connection refused, reset or timed out; the answer cut off or late | yes |
| the proxy's connection likewise; a proxy that answers 5xx | yes |
| 408, 429, 5xx | yes, after Retry-After |
| any other status, redirects included | no |
| no such name; a certificate that does not verify; no HTTP; too large | no |

What Google refused outlasts later tries that get no answer: not the network is to blame then.
"""

import time

from gcp_sa_credential_provider.plugin import tls
from gcp_sa_credential_provider.plugin.connect import Address, Endpoint, Socket, Stream, open_socket
from gcp_sa_credential_provider.plugin.dates import http_date
from gcp_sa_credential_provider.plugin.deadline import Progress, pause
from gcp_sa_credential_provider.plugin.failure import Failure
from gcp_sa_credential_provider.plugin.names import only
from gcp_sa_credential_provider.plugin.value import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from gcp_sa_credential_provider.plugin.proxy import Proxy

TRIES = 4
LARGEST_BODY = 65536  # bytes
_LARGEST_HEAD = 16384  # bytes
_MOST_INTERIM = 4  # answers of the 1xx class before the one that counts
_LEAST_TRY = 0.5  # seconds; a shorter one would tell of itself, not of what is wrong
_ANSWER_SECONDS = 2.0  # for handshake, request and answer at least, and half of what is left

_TRANSIENT = (
    "DNS-AGAIN",
    "CONNECT-REFUSED",
    "CONNECT-TIMEOUT",
    "CONNECT-FAILED",
    "TLS-FAILED",
    "TLS-TIMEOUT",
    "ANSWER-CUT",
    "ANSWER-TIMEOUT",
    "PROXY-UNREACHABLE",
    "PROXY-TIMEOUT",
    "PROXY-UNAVAILABLE",
)
_AT_THE_PROXY = {"CONNECT-REFUSED": "connection refused", "CONNECT-TIMEOUT": "no answer"}


class Service(Value):
    """An API of Google and how it is reached."""

    endpoint: Endpoint
    proxy: "Proxy | None"
    store: tls.TrustStore


class Answer(Value):
    """A complete answer. `date` is the server's clock in Unix seconds, None where it is untold."""

    status: int
    content_type: str
    date: "int | None"
    retry_after: float
    body: bytes


def post(
    service: Service,
    path: str,
    headers: "dict[str, str]",
    body: bytes,
    refused: "Callable[[Answer], Failure]",
    progress: Progress,
) -> Answer:
    """POST `body` to `path`; at most TRIES times, within the budget. Any status is an answer.

    The caller vouches that `path` and `headers` are printable ASCII. `refused` makes a Failure of
    a refusal that may pass. Raises Failure DNS-*, CONNECT-*, PROXY-*, TLS-* or ANSWER-* where no
    try was answered, or the last one ended in what is not tried again; and else what `refused` made
    of the last answer.
    """
    authority = service.endpoint.authority
    lines = [f"POST {path} HTTP/1.1", f"Host: {authority}"]
    lines += [f"{name}: {headers[name]}" for name in headers]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
    message = "\r\n".join(lines).encode("ascii") + body
    attempt = 0
    while True:
        attempt += 1
        progress.tries += 1
        progress.attempt = attempt
        wait = pause(attempt - 1)
        left = progress.deadline.left()
        try:
            answer = _once(service, message, progress)
        except Failure as failure:
            if failure.code not in _TRANSIENT:
                raise
            if _gives_up(attempt, wait, _LEAST_TRY, progress):
                raise progress.refusal or failure from None
        else:
            if answer.status not in (408, 429) and answer.status < 500:
                progress.refusal = None
                return answer
            progress.refusal = refused(answer)
            wait += answer.retry_after  # on top: all that were refused at once were told the same
            took = left - progress.deadline.left()  # and the next answer will hardly come sooner
            if _gives_up(attempt, wait, max(_LEAST_TRY, took), progress):
                raise progress.refusal
        progress.enter("wait", "TIMEOUT", doing="waiting to try again")
        time.sleep(wait)


def _gives_up(attempt: int, wait: float, least: float, progress: Progress) -> bool:
    """Whether there is no try left, or no time for one: the kubelet comes again anyway.

    `least`: seconds that a try must have.
    """
    return attempt == TRIES or wait + least >= progress.deadline.left()


def _once(service: Service, message: bytes, progress: Progress) -> Answer:
    context = None
    if service.endpoint.tls:
        progress.enter("trust", "TIMEOUT", doing="reading the trust store")
        context = service.store.context(service.endpoint.address.host, whole=False)
    try:
        return _send(service, context, message, progress)
    except Failure as failure:
        if failure.code != "TLS-UNTRUSTED" or not service.store.widen(context):
            raise
    context = service.store.context(service.endpoint.address.host, whole=True)
    return _send(service, context, message, progress)


def _send(
    service: Service, context: "tls.Context | None", message: bytes, progress: Progress
) -> Answer:
    target = service.endpoint.address
    sock = _connect(service, progress)
    try:
        until = progress.deadline.within(max(_ANSWER_SECONDS, progress.deadline.left() / 2))
        stream = Stream(sock, until)
        if service.proxy:
            from gcp_sa_credential_provider.plugin.proxy import open_tunnel

            progress.enter("proxy", "PROXY-TIMEOUT", proxy=service.proxy.address, target=target)
            open_tunnel(stream, service.proxy, target)
        if context is not None:
            progress.enter("tls", "TLS-TIMEOUT", address=target)
            stream = tls.secure(sock, target, context, until, service.store.source)
        progress.enter("request", "ANSWER-TIMEOUT", address=target)
        stream.send(message)
        return _read(stream, target)
    except TimeoutError:
        raise progress.overdue() from None
    except OSError as error:
        reason = getattr(error, "reason", None) or error.strerror or type(error).__name__
        raise Failure("ANSWER-CUT", address=target, error=reason) from None
    finally:
        sock.close()


def _connect(service: Service, progress: Progress) -> Socket:
    if not service.proxy:
        return open_socket(service.endpoint.address, progress)
    proxy = service.proxy.address
    try:
        return open_socket(proxy, progress, _unreachable(proxy, "CONNECT-TIMEOUT"))
    except Failure as failure:
        raise _unreachable(proxy, failure.code, failure.evidence.get("error")) from None


def _unreachable(proxy: Address, code: str, error: object = None) -> Failure:
    return Failure("PROXY-UNREACHABLE", proxy=proxy, error=error or _AT_THE_PROXY[code])


class _Reader:
    """Bytes of an answer, asked for by line or by length."""

    def __init__(self, stream: Stream, target: object) -> None:
        self._stream = stream
        self._target = target
        self._buffer = b""

    def more(self) -> bool:
        received = self._stream.receive()
        self._buffer += received
        return bool(received)

    def until(self, mark: bytes, limit: int) -> bytes:
        while mark not in self._buffer:
            if len(self._buffer) > limit:
                raise Failure("ANSWER-LARGE", address=self._target, limit=limit)
            if not self.more():
                raise self.cut()
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def exactly(self, length: int) -> bytes:
        while len(self._buffer) < length:
            if not self.more():
                raise self.cut()
        found, self._buffer = self._buffer[:length], self._buffer[length:]
        return found

    def rest(self, limit: int) -> bytes:
        while len(self._buffer) <= limit:
            if not self.more():
                return self._buffer
        raise Failure("ANSWER-LARGE", address=self._target, limit=limit)

    def cut(self) -> Failure:
        if not self._buffer:
            return Failure("ANSWER-CUT", address=self._target, error="the connection was closed")
        return Failure("ANSWER-CUT", address=self._target, error="it ends too early")


def _head(reader: _Reader, target: object) -> "tuple[int, list[str]]":
    """Status and header lines of an answer, or of an interim one (RFC 9110, 15.2)."""
    head = reader.until(b"\r\n\r\n", _LARGEST_HEAD)
    status_line, *lines = head.decode("latin-1").split("\r\n")
    version, _, rest = status_line.partition(" ")
    if (
        version not in ("HTTP/1.1", "HTTP/1.0")
        or not only("0123456789", rest[:3])
        or rest[3:4] > " "
    ):
        # A few characters tell what speaks there; what has lost its head may go on with a token.
        shown = status_line[: 13 if version.startswith("HTTP/") else 7]
        raise Failure("ANSWER-MALFORMED", address=target, answer=shown)
    return int(rest[:3]), lines


def _read(stream: Stream, target: object) -> Answer:
    reader = _Reader(stream, target)
    status, lines = _head(reader, target)
    for _ in range(_MOST_INTERIM):
        if status >= 200:
            break
        status, lines = _head(reader, target)
    else:
        raise Failure("ANSWER-MALFORMED", address=target, answer=f"{status} again and again")
    headers = {}
    for line in lines:
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip(" \t")
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _chunked(reader, target)
    elif "content-length" not in headers:
        body = reader.rest(LARGEST_BODY)
    else:
        length = headers["content-length"]
        if not only("0123456789", length) or len(length) > 9:
            raise Failure("ANSWER-MALFORMED", address=target, answer=f"Content-Length: {length}")
        if int(length) > LARGEST_BODY:
            raise Failure("ANSWER-LARGE", address=target, limit=LARGEST_BODY)
        body = reader.exactly(int(length))
    return Answer(
        status=status,
        content_type=headers.get("content-type", "").partition(";")[0].lower(),
        date=http_date(headers.get("date", "")),
        retry_after=_seconds(headers.get("retry-after", ""), headers.get("date", "")),
        body=body,
    )


def _chunked(reader: _Reader, target: object) -> bytes:
    """RFC 9112, 7.1. Trailers are not read: the connection is closed anyway."""
    body = b""
    while True:
        line = reader.until(b"\r\n", _LARGEST_HEAD).partition(b";")[0].strip()
        size = line.decode("latin-1")
        if not only("0123456789abcdefABCDEF", size) or len(size) > 8:
            raise Failure("ANSWER-MALFORMED", address=target, answer="a chunk without a size")
        if len(body) + int(size, 16) > LARGEST_BODY:
            raise Failure("ANSWER-LARGE", address=target, limit=LARGEST_BODY)
        if int(size, 16) == 0:
            return body
        body += reader.exactly(int(size, 16))
        if reader.exactly(2) != b"\r\n":
            raise Failure("ANSWER-MALFORMED", address=target, answer="a chunk without an end")


def _seconds(retry_after: str, date: str) -> float:
    """Retry-After (RFC 9110, 10.2.3): seconds, or a date set against the answer's own."""
    if only("0123456789", retry_after) and len(retry_after) <= 9:
        return float(retry_after)
    then, now = http_date(retry_after), http_date(date)
    return 0.0 if then is None or now is None else float(max(0, then - now))
