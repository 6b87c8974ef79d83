"""Every rule is pinned by a test, and the page shows them as they are."""

from emulator.rules import PAGE, RULES, page, pinned


def test_rules_and_tests_know_each_other() -> None:
    """No rule without a test, no test with an unknown rule."""
    assert set(pinned()) == set(RULES)


def test_the_page_is_current() -> None:
    """`python tests/emulator/rules.py` writes it anew."""
    text = PAGE.read_text()
    assert text == page(text)
