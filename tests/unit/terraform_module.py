"""What the module in deploy/terraform takes and gives, for its README.

python tests/unit/terraform_module.py      writes the table anew
"""

import json
import re
from pathlib import Path
from typing import Any

import hcl2

MODULE = Path(__file__).parents[2] / "deploy" / "terraform"
README = MODULE / "README.md"
BEGIN, END = "<!-- variables and outputs: begin -->\n", "<!-- variables and outputs: end -->\n"

_OPTIONS = hcl2.SerializationOptions(
    with_comments=False, explicit_blocks=False, strip_string_quotes=True
)


def blocks(file: str, kind: str) -> dict[str, dict[str, Any]]:
    """The blocks of one kind of a file, by their label."""
    text = (MODULE / file).read_text()
    found = hcl2.loads(text, serialization_options=_OPTIONS)[kind]
    return {name: body for block in found for name, body in block.items()}


def table() -> str:
    """Both tables, as Markdown."""
    lines = ["| variable | type | default | |", "|---|---|---|---|"]
    for name, body in blocks("variables.tf", "variable").items():
        lines.append(
            f"| `{name}` | `{_type(body['type'])}` | {_default(body)} | {body['description']} |"
        )
    lines += ["", "| output | |", "|---|---|"]
    for name, body in blocks("outputs.tf", "output").items():
        lines.append(f"| `{name}` | {body['description']} |")
    return "\n".join(lines) + "\n"


def page(text: str) -> str:
    """The README with the tables made anew."""
    head, _, rest = text.partition(BEGIN)
    return f"{head}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _type(written: str) -> str:
    """`string`, or the outer words of a nested type: `map(object)`."""
    words = re.match(r"\$?\{?((?:\w+\()*)(\w+)", written)
    assert words, written
    outer = words[1].removesuffix("object(")
    inner = "object" if "object(" in words[1] else words[2]
    return f"{outer}{inner}" + ")" * outer.count("(")


def _default(body: dict[str, Any]) -> str:
    if "default" not in body:
        return "required"
    value = body["default"]
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


if __name__ == "__main__":
    README.write_text(page(README.read_text()))
