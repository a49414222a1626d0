"""GGUF files, the format of llama.cpp, converted to model directories of transformers."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from aligners.core.errors import UserError
from aligners.core.full_disk import explained_full_disk, is_full_disk
from aligners.core.hashes import file_hash
from aligners.core.rows import atomic_path, write_json
from aligners.models.pretrained import silence_transformers, without_warnings

MAGIC = b"GGUF"


def convert(path: Path, directory: Path) -> None:
    """Write a model with its tokenizer from a GGUF file; quantised weights become float32.

    converted.json in the directory has the name, the size and the SHA-256 of the GGUF file.

    Raises:
        UserError: the package gguf is missing, or transformers cannot read the file.
    """
    if find_spec("gguf") is None:
        raise UserError(f"{path}: the Python package gguf reads such files; run `pip install gguf`")
    with path.open("rb") as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise UserError(f"{path}: not a GGUF file, or damaged; download it again")
    silence_transformers()
    try:
        with without_warnings():
            model: Any = AutoModelForCausalLM.from_pretrained(
                path.parent, gguf_file=path.name, dtype=torch.float32
            )
            tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except Exception as error:  # transformers and gguf have no common class of errors.
        if is_full_disk(error):
            raise
        first_line = (str(error).strip() or repr(error)).splitlines()[0]
        raise UserError(
            f"{path}: transformers cannot read this GGUF file: {type(error).__name__}: "
            f"{first_line}; download it again if it is damaged, or use one of another quantisation "
            "or architecture"
        ) from None
    # Otherwise the saved configuration claims that the weights are still quantised.
    model.hf_quantizer = None
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    with explained_full_disk(directory.parent), atomic_path(directory) as partial:
        model.save_pretrained(partial)
        tokenizer.save_pretrained(partial)
        write_json(
            partial / "converted.json",
            {"file": path.name, "bytes": path.stat().st_size, "sha256": file_hash(path)},
        )
