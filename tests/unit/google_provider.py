"""Writes google_provider.json: which arguments the Google provider's resources take.

    python -m venv /tmp/bindings && /tmp/bindings/bin/pip download --no-deps --dest /tmp/bindings \
        cdktf-cdktf-provider-google==16.12.1
    python tests/unit/google_provider.py /tmp/bindings/*.whl

Only names and whether they are required are taken, from the signatures of the generated Python
bindings; their code is parsed and never run. Imports the standard library.
"""

import ast
import json
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PACKAGE = "cdktf_cdktf_provider_google"
KINDS = {
    "resource": (
        "artifact_registry_repository_iam_member",
        "iam_workload_identity_pool",
        "iam_workload_identity_pool_provider",
        "project_service",
        "service_account",
        "service_account_iam_member",
    ),
    "data": ("project",),
}
# What the bindings add: their own arguments, and Terraform's meta-arguments.
NOT_OF_THE_PROVIDER = frozenset(
    [
        *("connection", "count", "depends_on", "for_each", "lifecycle", "provider"),
        *("provisioners", "scope", "id_", "config", "self"),
    ]
)

Body = dict[str, Any]
"""`{"arguments": {NAME: required}, "blocks": {NAME: Body with "required"}}`, and for a whole
resource `"attributes": [NAME]`: what may be referred to."""


def body(classes: dict[str, ast.ClassDef], name: str) -> Body:
    """The arguments and blocks of one class, by its initialiser's signature."""
    [init] = [
        node
        for node in classes[name].body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    ]
    arguments: dict[str, bool] = {}
    blocks: dict[str, Body] = {}
    for argument, default in zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True):
        if argument.arg in NOT_OF_THE_PROVIDER or argument.annotation is None:
            continue
        nested = re.search(rf'"({name.removesuffix("Config")}\w+)"', source(argument.annotation))
        if nested:
            blocks[argument.arg] = {
                "required": default is None,
                **body(classes, nested[1]),
            }
        else:
            arguments[argument.arg] = default is None
    return {"arguments": arguments, "blocks": blocks}


def attributes(resource: ast.ClassDef) -> list[str]:
    """The names of its properties: arguments, blocks and what Google computes."""
    return sorted(
        node.name
        for node in resource.body
        if isinstance(node, ast.FunctionDef)
        and any(source(decorator) == "builtins.property" for decorator in node.decorator_list)
        and not node.name.endswith("_input")
    )


def source(node: ast.AST) -> str:
    """An annotation with the forward references in double quotes."""
    return ast.unparse(node).replace("'", '"')


def schema(wheel: Path) -> Body:
    """The document."""
    with zipfile.ZipFile(wheel) as archive:
        [metadata] = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        about = archive.read(metadata).decode()
        kinds: dict[str, dict[str, Body]] = {}
        for kind, names in KINDS.items():
            for name in names:
                folder = f"data_google_{name}" if kind == "data" else name
                tree = ast.parse(archive.read(f"{PACKAGE}/{folder}/__init__.py"))
                classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
                first = next(iter(classes))
                kinds.setdefault(kind, {})[f"google_{name}"] = {
                    **body(classes, first),
                    "attributes": attributes(classes[first]),
                }
    fields = {
        key: re.search(rf"^{key}: (.*)$", about, re.MULTILINE)
        for key in ("Name", "Version", "License")
    }
    provider = re.search(r"provider version ([\d.]+)", about)
    return {
        "source": {
            **{key.lower(): found[1] for key, found in fields.items() if found},
            "provider": f"hashicorp/google {provider[1] if provider else 'unknown'}",
            "taken": "names of arguments, blocks and attributes, and which are required",
        },
        **kinds,
    }


def main() -> None:
    """Write the file anew."""
    text = json.dumps(schema(Path(sys.argv[1])), indent=1, sort_keys=True)
    (HERE / "google_provider.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
