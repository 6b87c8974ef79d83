"""The HTTP surface: routes of the four services, fault rules of meaning, the request log.

Imports Starlette and the services. One ASGI application answers for all hosts; the path says
which service is meant, as at Google.
"""

import asyncio
import contextlib
import inspect
import json
from collections.abc import Mapping
from email.utils import formatdate
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gcp_sa_credential_provider.emulator import registry, sts
from gcp_sa_credential_provider.emulator.call import Call, Method
from gcp_sa_credential_provider.emulator.faults import BYTES, Rule
from gcp_sa_credential_provider.emulator.methods import METHODS
from gcp_sa_credential_provider.emulator.rejection import (
    ApiError,
    Invalid,
    OAuthError,
    field_violation,
)
from gcp_sa_credential_provider.emulator.relay import Wire
from gcp_sa_credential_provider.emulator.rest import check_query
from gcp_sa_credential_provider.emulator.state import Google

BODY_MAX_BYTES = 1 << 20
_CAPTIVE_PORTAL = (
    "<!DOCTYPE html><html><head><title>Network login</title></head>"
    "<body><h1>Please sign in to use this network</h1></body></html>"
)


def service_application(
    google: Google, wires: Mapping[int, Wire], stopping: asyncio.Event
) -> ASGIApp:
    """The application behind the relay. `wires`: connections by source port."""

    async def registry_token(request: Request) -> Response:
        return await registry.token(google, request, await _body(request))

    async def images(request: Request) -> Response:
        return await registry.serve(google, request)

    application = Starlette(
        routes=[
            *(_route(google, method) for method in METHODS),
            Route("/v2/token", registry_token, methods=["GET", "POST"]),
            Route("/v2", images, methods=["GET"]),
            Route("/v2/{rest:path}", images, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
        ],
        exception_handlers={
            OAuthError: _refused,
            ApiError: _refused,
            Invalid: _refused,
            OSError: _refused,
            ClientDisconnect: _gone,
            404: _not_found,
            405: _not_found,
        },
    )
    return _Front(application, google, wires, stopping)


def _route(google: Google, method: Method) -> Route:
    """A JSON method as a route."""

    async def answer(request: Request) -> Response:
        content = await _body(request)
        query = dict(request.query_params)
        check_query(query, method.query)
        call = Call(
            request.path_params,
            query,
            content,
            request.headers.get("content-type", ""),
            request.headers.get("authorization", ""),
            request.scope["entry"],
        )
        result = method.handle(google, call)
        return _json(200, await result if inspect.isawaitable(result) else result)

    return Route(method.path, answer, methods=[method.verb], name=method.name)


class _Front:
    """Around the application: log entry, faults, Date."""

    def __init__(
        self,
        application: ASGIApp,
        google: Google,
        wires: Mapping[int, Wire],
        stopping: asyncio.Event,
    ) -> None:
        self._application = application
        self._google = google
        self._wires = wires
        self._stopping = stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        google = self._google
        wire = self._wires.get(scope["client"][1], Wire("http"))
        headers = dict(scope["headers"])
        host = headers.get(b"host", b"").decode("latin-1")
        entry = scope["entry"] = {
            "at": google.clock.now(),
            "service": _service(scope["path"]),
            "method": scope["method"],
            "path": scope["path"],
            "host": host,
            "scheme": wire.scheme,
            "user_agent": headers.get(b"user-agent", b"").decode("latin-1"),
            "status": None,
        }
        acting = google.faults.for_request(
            path=scope["path"], host=host, method=scope["method"], service=entry["service"]
        )
        if acting:
            entry["faults"] = [rule.name for rule in acting]

        async def send_dated(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry["status"] = message["status"]
                date = formatdate(google.clock.now(), usegmt=True).encode()
                message["headers"] = [*message["headers"], (b"date", date)]
            elif not message.get("more_body"):
                # Before the client can have the last byte, so that it finds its own entry.
                google.record(entry)
            await send(message)

        wire.fault = None
        answer = self._application
        for rule in acting:
            if rule.kind == "latency":
                await _pause(rule.seconds, self._stopping)
                continue
            entry["fault"] = rule.name
            if rule.kind in BYTES:
                wire.fault = rule
            else:
                # Read first: an answer before the request's end would close the connection.
                await _drain(receive)
                answer = _fault_response(rule, entry["service"])
        await answer(scope, receive, send_dated)


async def _pause(seconds: float, stopping: asyncio.Event) -> None:
    """Latency that does not hold up the emulator's own end."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(stopping.wait(), seconds)


async def _drain(receive: Receive) -> None:
    while (await receive()).get("more_body"):
        pass


def _service(path: str) -> str:
    if path == "/v2" or path.startswith("/v2/"):
        return "registry"
    if path in ("/v1/token", "/v1/introspect"):
        return "sts"
    return "iam_credentials" if path.endswith(":generateAccessToken") else "iam"


def _fault_response(rule: Rule, service: str) -> Response:
    if rule.kind == "captive_portal":
        return Response(_CAPTIVE_PORTAL, media_type="text/html")
    if rule.kind == "quota":
        if service == "sts":
            return _json(sts.THROTTLED.status, sts.THROTTLED.body())
        return _json(429, ApiError(429, "Quota exceeded for quota metric 'Requests'.").body())
    if isinstance(rule.body, dict):
        return Response(
            json.dumps(rule.body), rule.status, rule.headers, media_type="application/json"
        )
    return Response(rule.body, rule.status, rule.headers, media_type="text/plain")


async def _body(request: Request) -> bytes:
    """The whole body, read to its end in any case: an early answer would break the connection."""
    body = bytearray()
    size = 0
    async for part in request.stream():
        size += len(part)
        if size <= BODY_MAX_BYTES:
            body += part
    if size > BODY_MAX_BYTES:
        raise ApiError(413, "Request payload size exceeds the limit.")
    return bytes(body)


async def _refused(request: Request, error: Exception) -> Response:
    entry = request.scope["entry"]
    if isinstance(error, OAuthError):
        entry |= {"error": error.error, "description": error.description, "reason": error.reason}
        return _json(error.status, error.body())
    if isinstance(error, Invalid):
        error = field_violation(error)
    elif isinstance(error, OSError):
        # State or an image could not be written: nothing changed.
        error = ApiError(500, "Internal error encountered.", str(error))
    assert isinstance(error, ApiError)  # noqa: S101  registered for these four only
    entry |= {"description": error.message, "reason": error.reason}
    return _json(error.code, error.body())


async def _gone(request: Request, _: Exception) -> Response:
    """Nobody reads this answer; the log says what became of the request."""
    request.scope["entry"]["reason"] = "the client went away in the middle of its request"
    return Response(status_code=400)


async def _not_found(request: Request, _: Exception) -> Response:
    reason = f"no method {request.method} {request.url.path}"
    return await _refused(request, ApiError(404, "Method not found.", reason))


def _json(status: int, document: Mapping[str, Any]) -> Response:
    return Response(json.dumps(document), status, media_type="application/json; charset=UTF-8")
