"""The module in deploy/terraform, as text; tests/clients has OpenTofu judge it."""

import re

import hcl2
import pytest

from gcp_sa_credential_provider.google.issuers import MANAGED
from unit.google_side import resources
from unit.terraform_module import MODULE, README, blocks, page
from unit.test_render_terraform import SCHEMA, check

EXAMPLES = sorted((MODULE / "examples").glob("*/main.tf"))


def test_the_provider_takes_it() -> None:
    """Types, arguments and blocks, by the published bindings."""
    text = (MODULE / "main.tf").read_text()
    for kind in ("resource", "data"):
        found = list(resources(text, kind))
        assert found
        for type_, name, body in found:
            check(f"{type_}.{name}", body, SCHEMA[kind][type_])


def test_the_readme_is_current() -> None:
    """`python tests/unit/terraform_module.py` writes it anew."""
    text = README.read_text()
    assert text == page(text)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.parent.name)
def test_examples_use_what_is_there(path: object) -> None:
    """Variables that exist, all that are required, outputs that exist."""
    text = (MODULE / str(path)).read_text()
    options = hcl2.SerializationOptions(with_comments=False, explicit_blocks=False)
    [module] = hcl2.loads(text, serialization_options=options)["module"]
    [given] = module.values()
    variables = blocks("variables.tf", "variable")
    required = {name for name, body in variables.items() if "default" not in body}
    assert required <= set(given) - {"source"} <= set(variables)
    used = set(re.findall(r"module\.pulls\.(\w+)", text))
    assert used
    assert used <= set(blocks("outputs.tf", "output"))


def test_every_example_is_in_the_readme() -> None:
    """By its folder."""
    text = README.read_text()
    assert EXAMPLES
    for path in EXAMPLES:
        assert f"examples/{path.parent.name}" in text


def test_it_knows_the_same_issuers_as_the_tool() -> None:
    """Those whose keys are not uploaded; backslashes are doubled in HCL."""
    text = (MODULE / "variables.tf").read_text()
    for managed in MANAGED:
        assert '"{}"'.format(managed.host.pattern.replace("\\", "\\\\")) in text
