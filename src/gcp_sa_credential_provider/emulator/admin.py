"""The admin page: pools, providers, keys, and the last exchanges with verdict and reason.

Imports state. Plain HTML without scripts; every value is escaped, no token is ever shown.
"""

import html
from collections.abc import Iterable

from gcp_sa_credential_provider.emulator.log import Entry
from gcp_sa_credential_provider.emulator.operations import timestamp
from gcp_sa_credential_provider.emulator.resources import Provider
from gcp_sa_credential_provider.emulator.state import Google

EXCHANGES = 50
"""How many of the last requests to STS and IAM Credentials are shown."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
_STYLE = (
    "body{font:14px sans-serif;margin:2em}table{border-collapse:collapse;margin-bottom:2em}"
    "td,th{border:1px solid #999;padding:.3em .6em;text-align:left;vertical-align:top}"
)


def page(google: Google) -> str:
    """The page as HTML."""
    resources = google.resources
    pools = (
        (pool.name, pool.resource["state"], _yes(pool.resource.get("disabled")))
        for pool in resources.pools.values()
    )
    providers = (
        (
            provider.name,
            provider.resource["state"],
            _yes(provider.resource.get("disabled")),
            provider.issuer,
            " ".join(sorted(provider.audiences)),
            _keys(provider),
            ", ".join(f"{k}={v}" for k, v in provider.resource.get("attributeMapping", {}).items()),
            str(provider.resource.get("attributeCondition", "")),
        )
        for provider in resources.providers.values()
    )
    entries = [
        entry for entry in google.log.entries() if entry["service"] in ("sts", "iam_credentials")
    ]
    rules = ((rule["name"], rule["kind"], str(rule["hits"])) for rule in google.faults.listing())
    return (
        "<!DOCTYPE html><html lang=en><head><meta charset=utf-8><title>Google in a box</title>"
        f"<style>{_STYLE}</style></head><body><h1>Google in a box</h1>"
        f"<p>The emulator's clock: {timestamp(google.clock.now())}</p>"
        + _table("Pools", ("name", "state", "disabled"), pools)
        + _table(
            "Providers",
            ("name", "state", "disabled", "issuer", "audiences", "keys", "mapping", "condition"),
            providers,
        )
        + _table(
            f"The last {EXCHANGES} exchanges and impersonations",
            ("time", "request", "status", "subject", "principal", "verdict", "reason"),
            (_exchange(entry) for entry in reversed(entries[-EXCHANGES:])),
        )
        + _table("Faults", ("name", "kind", "hits"), rules)
        + "</body></html>\n"
    )


def _exchange(entry: Entry) -> tuple[str, ...]:
    return (
        timestamp(entry["at"]),
        entry["path"],
        str(entry["status"]),
        str(entry.get("subject", "")),
        str(entry.get("mapped_principal") or entry.get("principal", "")),
        _verdict(entry),
        str(entry.get("reason", "")),
    )


def _verdict(entry: Entry) -> str:
    if fault := entry.get("fault"):
        return f"fault: {fault}"
    return str(entry.get("description") or ("accepted" if entry["status"] == 200 else "refused"))


def _keys(provider: Provider) -> str:
    return "fetched" if provider.keys is None else " ".join(provider.keys)


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _table(title: str, columns: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    def row(cells: Iterable[str], tag: str) -> str:
        inner = "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in cells)
        return f"<tr>{inner}</tr>"

    body = "".join(row(cells, "td") for cells in rows)
    return f"<h2>{html.escape(title)}</h2><table>{row(columns, 'th')}{body}</table>"
