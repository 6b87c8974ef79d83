"""The catalogue is whole: every code has its place, its words, and its page."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import gcp_sa_credential_provider
from gcp_sa_credential_provider.catalogue import render
from gcp_sa_credential_provider.catalogue.messages import ALL, FOREIGN, LINKS, OWN
from gcp_sa_credential_provider.catalogue.texts import TEXTS
from gcp_sa_credential_provider.plugin.messages import MESSAGES

PACKAGE = Path(gcp_sa_credential_provider.__file__).parent
DOCS = Path(__file__).parents[2] / "docs"
CODE = re.compile(r"[A-Z]+(-[A-Z]+)*")


def literals(path: Path) -> set[str]:
    """The string constants of a module."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)}


def raised(path: Path) -> set[str]:
    """The codes that a module gives to Failure as they stand."""
    return {
        node.args[0].value
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "Failure"
        and isinstance(node.args[0], ast.Constant)
        and isinstance(node.args[0].value, str)
    }


def test_all_is_everything_once() -> None:
    """No code stands twice, and none is left out."""
    assert sorted([*OWN, *FOREIGN]) == sorted(ALL)


def test_order_is_the_chains() -> None:
    """Whoever reads ALL from the top reads causes before effects."""
    places = [LINKS.index(message.link) for message in ALL.values()]
    assert places == sorted(places)
    assert set(places) == set(range(len(LINKS)))


@pytest.mark.parametrize("code", ALL)
def test_entry_reads_well(code: str) -> None:
    """Fields are filled and ready to be put into the sentences around them."""
    message = ALL[code]
    assert CODE.fullmatch(code)
    assert message.meaning.endswith(".")
    assert not message.fix.endswith(".")
    assert not message.what.endswith(".")
    texts = message.what + message.meaning + message.fix
    assert texts.isascii()
    assert texts.isprintable()
    assert "  " not in texts


@pytest.mark.parametrize("code", OWN)
def test_what_the_kubelet_must_be_told_ends_in_a_restart(code: str) -> None:
    """It reads them at its start only: without one the fix would seem to be none."""
    fix = OWN[code].fix
    told = re.search(
        r"CredentialProviderConfig|tokenAttributes with|narrow matchImages|NO_PROXY"
        r"|(?:set|raise|correct|point) (?:host and port of )?[A-Z]{3,}_[A-Z_]+",
        fix,
    )
    if told or code.startswith("SETTINGS-"):
        assert "restart the kubelet" in fix


def test_plugin_raises_what_is_in_the_catalogue() -> None:
    """A failure without a message would be a traceback on a node."""
    codes = set[str]().union(*(raised(path) for path in (PACKAGE / "plugin").glob("*.py")))
    assert len(codes) > 20
    assert codes - set(MESSAGES) == set()


def test_catalogue_holds_nothing_that_the_plugin_does_not_raise() -> None:
    """Every code of the plugin stands in one of its other modules, or in __main__'s line."""
    paths = [path for path in (PACKAGE / "plugin").glob("*.py") if path.name != "messages.py"]
    used = set[str]().union(*(literals(path) for path in [*paths, PACKAGE / "__main__.py"]))
    used |= {code for text in used for code in re.findall(r"\[([A-Z-]+)\]", text)}
    assert set(MESSAGES) - used == set()


def test_startup_line_is_the_catalogues() -> None:
    """__main__ must be readable for old Pythons, so that its words are a copy; they agree."""
    (line,) = (text for text in literals(PACKAGE / "__main__.py") if "STARTUP-PYTHON" in text)
    message = OWN["STARTUP-PYTHON"]
    what = message.what.format(python="%s", version="%d.%d")
    assert line == f"gcp-sa-credential-provider: [STARTUP-PYTHON] {what}. Fix: {message.fix}"


def test_foreign_codes_can_be_met() -> None:
    """A code that no text leads to would be dead, a text without a code a crash."""
    codes = {text.code for text in TEXTS}
    assert set(FOREIGN) - codes == set()
    assert codes - set(ALL) == set()


def test_catalogue_stands_on_messages_alone() -> None:
    """It goes onto nodes: nothing but the standard library and the plugin's messages."""
    program = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import gcp_sa_credential_provider.catalogue.render\n"
        "names = [name for name in sys.modules if name.startswith('gcp_sa_credential_provider.')]\n"
        "print(*sorted(name.partition('.')[2] for name in names))"
    )
    done = subprocess.run(
        [sys.executable, "-ISc", program, PACKAGE.parent],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == [
        "catalogue",
        "catalogue.messages",
        "catalogue.recognise",
        "catalogue.render",
        "catalogue.texts",
        "plugin",
        "plugin.messages",
        "plugin.value",
    ]


def test_page_is_generated() -> None:
    """docs/errors.md is what `make docs` writes."""
    assert (DOCS / "errors.md").read_text("utf-8") == render.markdown()


def test_contents_lead_to_every_code() -> None:
    """Each link of the table of contents has its heading, in the same order."""
    page = render.markdown()
    assert re.findall(r"\(#([a-z-]+)\)", page) == [code.lower() for code in ALL]
    assert re.findall(r"^### (\S+)$", page, re.MULTILINE) == list(ALL)


def test_section_of_an_own_code() -> None:
    """What an operator finds under a code of the plugin."""
    page = render.markdown()
    section = page.partition("### STS-SUBJECT\n")[2].partition("\n### ")[0]
    assert section == (
        "\nExit code 1. The line in the kubelet's log:\n"
        "\n    gcp-sa-credential-provider: [STS-SUBJECT] "
        + OWN["STS-SUBJECT"].what.replace("{", "<").replace("}", ">")
        + f". Fix: {OWN['STS-SUBJECT'].fix}\n"
        "\nRecognised from:\n"
        "\n    Could not obtain a value for google.subject from the given credential.\n"
        f"\n**Meaning:** {OWN['STS-SUBJECT'].meaning}\n"
        f"\n**Fix:** {OWN['STS-SUBJECT'].fix}\n"
    )


def test_markdown_shows_names_as_they_are() -> None:
    """Asterisks, underscores and brackets in running text are no mark-up."""
    page = render.markdown()
    assert r"\*.json, \*.yaml" in page
    assert r"\[the whole audience" in page


@pytest.mark.parametrize("width", [20, 40, 80, 300])
def test_width(width: int) -> None:
    """Lines keep to the terminal, as far as names that cannot be broken allow."""
    lines = render.entry("STS-STALE", width).splitlines()
    assert max(map(len, lines)) <= max(40, min(width, 100))
    assert lines[0] == "STS-STALE"
    assert lines[1].startswith("  where    exchange at Google's")
