"""Every page of docs: its links, and the commands, options, targets, files and tests it names."""

import argparse
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from gcp_sa_credential_provider.cli.main import COMMANDS, parser

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("deploy/**/*.md"))
)
pages = pytest.mark.parametrize("page", PAGES)

_LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)")
_FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`]+)`")
_COMMAND = "|".join(COMMANDS)
_PROGRAM = r"(?:gcp-sa-credential-provider(?:-\S+-linux-\w+)?|/program)"
_CALLED = re.compile(rf"{_PROGRAM} ((?:{_COMMAND})\b[^\n`|#]*)")
_SHORT = re.compile(rf"(?:{_COMMAND}) \S.*")
"""In running text a command stands without the program's name."""
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*")
_TARGET = re.compile(r"`make ([a-z0-9.-]+)|^(?:    )?make ([a-z0-9.-]+)", re.MULTILINE)
_OURS = re.compile(
    r"(?:src|tests|docs|packaging|deploy|examples|benchmarks|requirements)/[\w./+-]+"
)


def text(page: str) -> str:
    """A page, with lines that a backslash continues in one."""
    return re.sub(r"\\\n\s*", "", (ROOT / page).read_text())


def anchors(page: Path) -> set[str]:
    """Of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.+)$", _FENCED.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}


def links(page: str) -> Iterator[tuple[Path, str]]:
    """Files and anchors that a page leads to within this repository."""
    for target, anchor in _LINK.findall((ROOT / page).read_text()):
        if "://" not in target:
            here = ROOT / page
            yield (here.parent / target).resolve() if target else here, anchor


@pages
def test_links_lead_somewhere(page: str) -> None:
    """To files that are there, and to headings that these have."""
    for there, anchor in links(page):
        assert there.exists(), there
        assert not anchor or anchor in anchors(there), f"{there.name}#{anchor}"


def test_every_page_can_be_reached() -> None:
    """From the README, by links."""
    reached: set[str] = set()
    ahead = {"README.md"}
    while ahead:
        page = ahead.pop()
        reached.add(page)
        found = {there.relative_to(ROOT).as_posix() for there, _ in links(page)}
        ahead |= found.intersection(PAGES) - reached
    assert set(PAGES) - reached == set()


@cache
def options(command: str, inner: str = "") -> set[str]:
    """Of a command, and of one within it."""
    found = children(parser(command))[command]
    if inner:
        found = children(found)[inner]
    return {option for action in found._actions for option in action.option_strings}


def children(of: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The commands of a parser."""
    return {
        name: child
        for action in of._actions
        if isinstance(action, argparse._SubParsersAction)
        for name, child in action.choices.items()
    }


def inline(page: str) -> list[str]:
    """What stands in backticks in running text."""
    return [" ".join(code.split()) for code in _INLINE.findall(_FENCED.sub("", text(page)))]


def called(page: str) -> list[str]:
    """Our commands as the page has them, without the program's name."""
    return [
        *_CALLED.findall(text(page)),
        *(code for code in inline(page) if _SHORT.fullmatch(code)),
    ]


def test_the_pages_have_commands() -> None:
    """In blocks and in running text: the test below is not empty."""
    found = {line for page in PAGES for line in called(page)}
    assert "render --check" in found
    assert "node install --config=credential-provider-config.yaml --dry-run" in found


@pages
def test_commands_have_these_options(page: str) -> None:
    """And are there."""
    for line in called(page):
        command, *rest = line.split()
        inner = rest[0] if command == "node" and rest else ""
        if inner:
            assert inner in children(children(parser(command))[command]), line
        assert set(_OPTION.findall(line)) <= options(command, inner), line


@pytest.mark.parametrize(
    ("page", "command"), [("docs/render.md", "render"), ("docs/setup-command.md", "setup")]
)
def test_options_that_stand_by_themselves(page: str, command: str) -> None:
    """On the page of the one command that has them."""
    alone = {code.split()[0] for code in inline(page) if code.startswith("--")}
    assert alone
    assert alone <= options(command)


@pages
def test_names_of_this_repository(page: str) -> None:
    """Targets of make, paths and tests that the page names are there."""
    makefiles = "\n".join(
        path.read_text() for path in (ROOT / "Makefile", *ROOT.glob("packaging/*.mk"))
    )
    targets = set(re.findall(r"^([a-z0-9.-]+):", makefiles, re.MULTILINE))
    assert {one or other for one, other in _TARGET.findall(text(page))} <= targets
    named = inline(page)
    assert [code for code in named if _OURS.fullmatch(code) and not there(page, code)] == []
    tests = {code.removesuffix(".py") for code in named if re.fullmatch(r"test_\w+(\.py)?", code)}
    assert tests <= named_tests()


def there(page: str, path: str) -> bool:
    """Below the top, or below the page's own folder."""
    return (ROOT / path).exists() or ((ROOT / page).parent / path).exists()


@cache
def named_tests() -> set[str]:
    """Functions of tests, and their files."""
    files = [*(ROOT / "tests").glob("*/*.py")]
    functions = (re.findall(r"^def (test_\w+)", file.read_text(), re.MULTILINE) for file in files)
    return {name for found in functions for name in found} | {file.stem for file in files}
