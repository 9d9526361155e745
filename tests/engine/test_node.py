"""Programs of Node.js that use fetch: no browsers, though they send a field that browsers send.

Docker's own @docker/node-sdk (see node/sdk.js), and the fetch() of Node.js alone (node/fetch.js).
"""

from pathlib import Path

import npm
import pytest
from conftest import TEST_SECONDS
from engine import IMAGE

SOURCE = Path(__file__).parent / "node"
pytestmark = pytest.mark.deadline(npm.INSTALL_SECONDS + TEST_SECONDS)  # whichever test is the first


@pytest.fixture(scope="session")
def modules() -> Path:
    return npm.modules(SOURCE)


@pytest.fixture
def sdk(modules, target):
    """Runs one case and gives its result."""
    return lambda case, *arguments: npm.run(
        SOURCE / "sdk.js", target.docker_host, case, *arguments, modules=modules
    )


def test_sdk_reads(sdk, engine, containers):
    version = engine.get("/version").json()["ApiVersion"]
    assert sdk("reads", containers.idle()) == [version, True, True]


def test_sdk_runs_a_container(sdk):
    assert sdk("run") == [5, "out\n", "err\n"]


def test_sdk_gets_the_engines_errors(sdk):
    assert sdk("missing") == "NotFoundError"


@pytest.mark.cannot("node-fetch")
def test_fetch(proxied):
    """It speaks TCP alone, so that there is no direct way to compare with."""
    assert npm.run(SOURCE / "fetch.js", proxied.docker_host, IMAGE) == {
        "statuses": [201, 200, 200, 200, 204, 200, 204, 404], "logs": "out\r\n",
    }
