"""Issuers without uploaded keys: OpenID Connect discovery and JWKS over https, cached.

Imports httpx and jwks. Protocol: OpenID Connect Discovery 1.0, sections 3 and 4. Google wants a
public TLS chain and knows no limit on the number of keys; what it caches, and for how long, is
not published: here until `cacheSeconds` have gone by, or a kid is not among the keys.
"""

import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx

from gcp_sa_credential_provider.emulator import jwks, received
from gcp_sa_credential_provider.emulator.options import IssuerFetch

TIMEOUT_SECONDS = 5
DOCUMENT_MAX_BYTES = 1 << 20
_DISCOVERY = "/.well-known/openid-configuration"


class FetchError(Exception):
    """The keys cannot be had; `str()` says why."""


class Issuers:
    """The key sets that were fetched."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, jwks.Keys]] = {}

    async def keys(
        self, issuer: str, kid: str | None, how: IssuerFetch | None, now: float
    ) -> jwks.Keys:
        """The issuer's keys by kid, fetched anew where the cache is old or lacks `kid`.

        `now`: seconds since the epoch. Raises FetchError.
        """
        if how is None:
            raise FetchError(
                "the provider has no uploaded keys, and issuers are not fetched"
                " (options.issuerFetch)"
            )
        fetched_at, keys = self._known.get(issuer, (float("-inf"), {}))
        if kid not in keys or not 0 <= now - fetched_at < how.cache_seconds:
            keys = await _fetch(issuer, how)
            self._known[issuer] = now, keys
        return keys

    def clear(self) -> None:
        """Forget all keys."""
        self._known.clear()


async def _fetch(issuer: str, how: IssuerFetch) -> jwks.Keys:
    try:
        context = ssl.create_default_context(cafile=how.ca or None)
    except (OSError, ssl.SSLError) as error:
        raise FetchError(f"the CA file {how.ca} cannot be used: {error}") from error
    async with httpx.AsyncClient(
        verify=context, timeout=TIMEOUT_SECONDS, trust_env=False
    ) as client:
        configuration = await _document(client, issuer.rstrip("/") + _DISCOVERY, how)
        if configuration.get("issuer") != issuer:
            raise FetchError(
                f"discovery says issuer {configuration.get('issuer')!r}, expected {issuer!r}"
            )
        keys = await _document(client, str(configuration.get("jwks_uri", "")), how)
    return jwks.usable(keys)


async def _document(client: httpx.AsyncClient, url: str, how: IssuerFetch) -> dict[str, Any]:
    content = bytearray()
    try:
        answer = await client.send(_request(client, url, how), stream=True)
        try:
            if answer.status_code != 200:
                raise FetchError(f"{url} answered {answer.status_code}")
            async for part in answer.aiter_bytes():
                content += part
                if len(content) > DOCUMENT_MAX_BYTES:
                    raise FetchError(f"{url} is larger than {DOCUMENT_MAX_BYTES} bytes")
        finally:
            await answer.aclose()
    # ValueError: a name or a port that no resolver and no socket takes.
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        raise FetchError(f"{url}: {error or type(error).__name__}") from error
    try:
        document = received.loads(content)
    except (ValueError, RecursionError) as error:
        raise FetchError(f"{url} is not JSON") from error
    if not isinstance(document, dict):
        raise FetchError(f"{url} is not a JSON object")
    return document


def _request(client: httpx.AsyncClient, url: str, how: IssuerFetch) -> httpx.Request:
    """Raises FetchError, and httpx.InvalidURL or ValueError for what is no URL."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        raise FetchError(f"{url!r} is not an https URL")
    target = parts._replace(netloc=how.hosts.get(parts.hostname, parts.netloc))
    if target.port == 0:  # above 65535, `port` raises
        raise FetchError(f"{url!r} has no port to connect to")
    return client.build_request(
        "GET",
        target.geturl(),
        headers={"Host": parts.netloc, "Accept": "application/json"},
        extensions={"sni_hostname": parts.hostname},
    )
