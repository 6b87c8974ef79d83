"""The control API: clock, faults, log, grants and configuration of a running emulator.

Imports Starlette, state and config. A listener of its own, plain http on loopback: no fault rule
touches it. For tests in other processes and other languages; in Python, `inprocess.Emulator`
gives the same objects directly.
"""

import json
from collections.abc import Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from gcp_sa_credential_provider.emulator import admin, config, openapi, received
from gcp_sa_credential_provider.emulator.faults import rule_from
from gcp_sa_credential_provider.emulator.rejection import ConfigError, Invalid
from gcp_sa_credential_provider.emulator.state import Google

PREFIX = "/_emulator"
_LAST = 221_845_392_000
"""Seconds since the epoch: the year 9000. What a clock shows must have a date, and room behind."""


def control_application(google: Google) -> ASGIApp:
    """The application of the control listener."""

    async def get_clock(_: Request) -> Response:
        return _json(google.clock.describe())

    async def put_clock(request: Request) -> Response:
        """`{"shift": SECONDS}`, `{"freeze": EPOCH_SECONDS}` or `{}` for real time."""
        wanted = await _object(request, "shift", "freeze")
        for value in wanted.values():
            if not isinstance(value, int | float) or isinstance(value, bool):
                raise ConfigError("clock", f"{value!r} is no number", "give seconds")
            if not -_LAST <= value <= _LAST:
                raise ConfigError("clock", f"{value} is out of range", f"give at most {_LAST}")
        if not 0 <= wanted.get("freeze", google.clock.now() + wanted.get("shift", 0)) <= _LAST:
            raise ConfigError("clock", "would show no year from 1970 to 9000", "shift it less")
        if not wanted:
            google.clock.reset()
        if "shift" in wanted:
            google.clock.shift(wanted["shift"])
        if "freeze" in wanted:
            google.clock.freeze(wanted["freeze"])
        return _json(google.clock.describe())

    async def get_faults(_: Request) -> Response:
        return _json({"faults": google.faults.listing()})

    async def put_fault(request: Request) -> Response:
        settings = await _object(request)
        rule = rule_from({**settings, "name": request.path_params["name"]})
        google.faults.put(rule)
        return _json({"faults": google.faults.listing()})

    async def delete_fault(request: Request) -> Response:
        name = request.path_params["name"]
        if not google.faults.remove(name):
            return _json({"error": f"faults: no rule {name!r}"}, 404)
        return _json({"faults": google.faults.listing()})

    async def delete_faults(_: Request) -> Response:
        google.faults.clear()
        return _json({"faults": []})

    async def get_log(request: Request) -> Response:
        return _json({"entries": google.log.entries(request.query_params.get("service"))})

    async def delete_log(_: Request) -> Response:
        google.log.clear()
        return _json({"entries": []})

    async def put_config(request: Request) -> Response:
        google.load(config.load(await _object(request)))
        return _json({})

    async def change_grant(request: Request) -> Response:
        """PUT gives, DELETE takes `{"resource", "role", "member"}`."""
        wanted = await _object(request, "resource", "role", "member")
        for key, value in wanted.items():
            if not isinstance(value, str):
                raise ConfigError(f"grants: {key}", f"{value!r} is no text", "give one")
        change = google.grant if request.method == "PUT" else google.revoke
        try:
            change(wanted["resource"], wanted["role"], wanted["member"])
        except KeyError as error:
            raise ConfigError("grants", f"{error} is missing", "give all three") from error
        return _json({})

    async def get_page(_: Request) -> Response:
        return HTMLResponse(admin.page(google), headers=admin.HEADERS)

    async def get_openapi(_: Request) -> Response:
        return _json(openapi.document())

    return Starlette(
        routes=[
            Route("/", get_page, methods=["GET"]),
            Route("/openapi.json", get_openapi, methods=["GET"]),
            Mount(
                PREFIX,
                routes=[
                    Route("/clock", get_clock, methods=["GET"]),
                    Route("/clock", put_clock, methods=["PUT"]),
                    Route("/faults", get_faults, methods=["GET"]),
                    Route("/faults", delete_faults, methods=["DELETE"]),
                    Route("/faults/{name}", put_fault, methods=["PUT"]),
                    Route("/faults/{name}", delete_fault, methods=["DELETE"]),
                    Route("/log", get_log, methods=["GET"]),
                    Route("/log", delete_log, methods=["DELETE"]),
                    Route("/config", put_config, methods=["PUT"]),
                    Route("/grants", change_grant, methods=["PUT", "DELETE"]),
                ],
            ),
        ],
        # A web page must not reach it by a name that it makes resolve to 127.0.0.1.
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost"])],
        exception_handlers={ConfigError: _refused, Invalid: _refused, OSError: _not_saved},
    )


async def _object(request: Request, *allowed: str) -> dict[str, Any]:
    try:
        document = received.loads(await request.body())
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise ConfigError("request body", "is not a JSON object", "send one")
    for key in document:
        if allowed and key not in allowed:
            raise ConfigError(f"request body: {key}", "unknown key", f"use {', '.join(allowed)}")
    return document


async def _refused(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, 400)


async def _not_saved(_: Request, error: Exception) -> Response:
    """The state could not be written: nothing changed."""
    return _json({"error": str(error)}, 500)


def _json(document: Mapping[str, Any], status: int = 200) -> Response:
    return Response(json.dumps(document), status, media_type="application/json")
