"""Google's resources played by `terraform_data`, which OpenTofu has built in.

The real provider comes from a registry of its own, over the internet. Here every `resource
"google_…"` of a file becomes a `terraform_data` whose input is what Google would be given: all
expressions, `for_each`, references and preconditions are evaluated by OpenTofu itself, in the order
of a real run. What Google computes (names, e-mails, a project's number) is put in. The files are
laid out as `tofu fmt` does.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from unit.google_side import ACCOUNTS, POOLS, PROVIDERS, READERS, USERS, GoogleSide, provider

_META = ("for_each", "depends_on", "lifecycle")
_BLOCK = re.compile(
    r'^(resource|data) "(google_\w+)" "([\w-]+)" \{\n(.*?)^\}\n', re.MULTILINE | re.DOTALL
)


def played(text: str, number: str) -> str:
    """A file with its resources played; `number` is what any project's number is."""

    def block(found: re.Match[str]) -> str:
        kind, type_, name, body = found.groups()
        items = dict(_items(body))
        meta = "".join(items.pop(key) for key in _META if key in items)
        if kind == "data":
            local = f"locals {{\n  {type_}__{name} = {{\n{''.join(items.values())}"
            local += f'    number = "{number}"\n  }}\n}}\n'
            meta = meta.replace("postcondition", "precondition")
            meta = meta.replace("self.", f"local.{type_}__{name}.")
            return f'{local}\nresource "terraform_data" "{type_}__{name}" {{\n{meta}}}\n'
        given = "".join(
            re.sub(r"^  (\w+) \{$", r"  \1 = {", item, flags=re.MULTILINE)
            for item in items.values()
        )
        computed = _computed(type_, items, number)
        given = f"  input = {{\n{given}{computed}  }}\n"
        return f'resource "terraform_data" "{type_}__{name}" {{\n{meta}{given}}}\n'

    return _references(_BLOCK.sub(block, text))


def _items(body: str) -> Iterable[tuple[str, str]]:
    """Arguments and nested blocks by name: each begins where a line is indented by two."""
    for item in re.split(r"^(?=  [a-z])", body, flags=re.MULTILINE):
        if item.strip():
            yield item.split()[0], item


def _computed(type_: str, items: Mapping[str, str], number: str) -> str:
    value = {key: item.partition("= ")[2].strip() for key, item in items.items()}
    if type_ == PROVIDERS:
        pool, own = (value[f"workload_identity_pool_{key}"] for key in ("id", "provider_id"))
        path = f"projects/{number}/locations/global/workloadIdentityPools"
        return f'    name = "{path}/${{{pool}}}/providers/${{{own}}}"\n'
    if type_ == ACCOUNTS:
        project, own = value["project"], value["account_id"]
        email = f"${{{own}}}@${{{project}}}.iam.gserviceaccount.com"
        return (
            f'    name = "projects/${{{project}}}/serviceAccounts/{email}"\n    email = "{email}"\n'
        )
    return ""


def _references(text: str) -> str:
    text = re.sub(r"\bdata\.(google_\w+)\.([\w-]+)\.", r"local.\1__\2.", text)
    text = re.sub(
        r"(?<![.\w])(google_\w+)\.([\w-]+)(\[[^\]]+\])?\.(\w+)",
        lambda found: f"terraform_data.{found[1]}__{found[2]}{found[3] or ''}.output.{found[4]}",
        text,
    )
    return re.sub(r"(?<![.\w/])(google_\w+)\.([\w-]+)", r"terraform_data.\1__\2", text)


def made(state: Mapping[str, Any]) -> GoogleSide:
    """What a run made, by `tofu show -json`."""
    given = {
        type_: [
            resource["values"]["input"]
            for resource in state["values"]["root_module"]["resources"]
            if resource["name"].startswith(f"{type_}__") and resource["values"]["input"]
        ]
        for type_ in (POOLS, PROVIDERS, ACCOUNTS, READERS, USERS)
    }
    folder = "projects/{project}/locations/{location}/repositories/{repository}"
    readers = {(folder.format(**g), g["role"], g["member"]) for g in given[READERS]}
    users = {
        (g["service_account_id"].partition("/serviceAccounts/")[2], g["role"], g["member"])
        for g in given[USERS]
    }
    return GoogleSide(
        {g["workload_identity_pool_id"]: g["display_name"] for g in given[POOLS]},
        {
            f"{g['workload_identity_pool_id']}/{g['workload_identity_pool_provider_id']}": provider(
                g["display_name"],
                g["oidc"]["issuer_uri"],
                g["oidc"].get("jwks_json"),
                g["attribute_mapping"],
                g.get("attribute_condition"),
            )
            for g in given[PROVIDERS]
        },
        frozenset(g["email"] for g in given[ACCOUNTS]),
        frozenset(readers | users),
    )
