"""The environment of SDKs, and a server with keys, a scripted squad and a scripted upstream."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import ROOT
from served_squads import Served, serve_squad

ENVIRONMENT = ROOT / ".venv-sdks/bin"
KEY = "sk-aligners-1"


@pytest.fixture(scope="session")
def programs() -> Path:
    """The folder of the programs in the environment of SDKs."""
    if not (ENVIRONMENT / "litellm").exists():
        pytest.fail("no environment of SDKs; make .venv-sdks/installed")
    return ENVIRONMENT


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server whose clients need the key."""
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"{KEY}\n")
    with serve_squad(key_file=keys) as served:
        served.client.headers["authorization"] = f"Bearer {KEY}"
        yield served
