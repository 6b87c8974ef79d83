"""The pytest plugin, in a project of its own."""

import pytest

pytest_plugins = ["pytester"]

PLUGIN_TEST = """
import httpx, pytest

pytest_plugins = ["gcp_sa_credential_provider.emulator.pytest"]

@pytest.fixture
def google_emulator_config():
    return {"projects": [{"projectId": "my-project", "projectNumber": "1"}]}

def test_googles_own_names(google_emulator, google_emulator_environment):
    url = "https://cloudresourcemanager.googleapis.com/v1/projects/1"
    assert httpx.get(url).json()["projectId"] == "my-project"
    assert google_emulator.log.entries("iam")[0]["host"] == "cloudresourcemanager.googleapis.com"
"""


def test_the_pytest_plugin(pytester: pytest.Pytester) -> None:
    """In a project of its own: a client that knows only Google's names."""
    pytester.makepyfile(PLUGIN_TEST)
    pytester.makeini("[pytest]\n")
    done = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=1)
