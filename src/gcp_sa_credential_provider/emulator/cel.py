"""CEL as Workload Identity Federation speaks it: the only file that knows the CEL library.

Imports cel-expr-python (Google's own C++ implementation). Variables `assertion`, `google` and
`attribute`, and the function `extract`, are those of Google's pages "Workload Identity
Federation: attribute mappings" and "IAM Conditions attribute reference: extract()".
"""

from collections.abc import Mapping
from typing import Any

from cel_expr_python import cel  # type: ignore[import-untyped]  # has no py.typed

_STRING, _DYN = cel.Type.STRING, cel.Type.DYN


def extract(text: str, template: str) -> str:
    """What `{name}` of the template stands for in `text`, or "" where it does not match.

    The first occurrence of the text before the braces counts, then the first of the text after
    them; nothing after the braces means up to the end.
    """
    prefix, brace, rest = template.partition("{")
    _, closing, suffix = rest.partition("}")
    if not brace or not closing:
        return ""
    start = text.find(prefix)
    if start < 0:
        return ""
    start += len(prefix)
    if not suffix:
        return text[start:]
    end = text.find(suffix, start)
    return text[start:end] if end >= 0 else ""


_ENVIRONMENT = cel.NewEnv(
    variables={
        "assertion": cel.Type.Map(_STRING, _DYN),
        "google": cel.Type.Map(_STRING, _DYN),
        "attribute": cel.Type.Map(_STRING, _DYN),
    },
    functions=[
        cel.FunctionDecl(
            "extract",
            [
                cel.Overload(
                    "string_extract",
                    return_type=_STRING,
                    parameters=[_STRING, _STRING],
                    is_member=True,
                    impl=extract,
                )
            ],
        )
    ],
)


class ExpressionError(Exception):
    """An expression does not compile, or cannot be evaluated on these claims."""


class Expression:
    """A compiled expression."""

    def __init__(self, source: str) -> None:
        """Raises ExpressionError with the compiler's first line."""
        self.source = source
        try:
            self._compiled = _ENVIRONMENT.compile(source)
        except (RuntimeError, ValueError) as error:
            raise ExpressionError(str(error).splitlines()[0]) from error

    def may_be(self, *types: str) -> bool:
        """Whether the static type is one of these names (BOOL, STRING, LIST), or only dynamic."""
        name = self._compiled.return_type().name().partition("<")[0]
        return name in (*types, "DYN")

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """The plain Python value. Raises ExpressionError (absent key, wrong types, overflow)."""
        value = self._compiled.eval(data=variables)
        if value.type() == cel.Type.ERROR:
            raise ExpressionError(str(value.plain_value()))
        return value.plain_value()
