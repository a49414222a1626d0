"""Loading of models: weights that do not fit the configuration, and damaged files."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from recipes import make_recipe
from safetensors.torch import load_file, save_file
from tiny_inspector import RECIPE as INSPECTOR
from tiny_inspector import rows as inspector_rows
from tiny_inspector import train as train_inspector
from tiny_models import make_model
from tiny_training import recipe, train
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
    Gemma3ForCausalLM,
    ModernBertConfig,
    ModernBertForMaskedLM,
    ModernBertModel,
)

from aligners.configuration.kinds.external import ExternalRecipe
from aligners.configuration.kinds.llms import TransformersRecipe
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.correction.aligner import Aligner
from aligners.correction.input_format import PAPER_FORMAT
from aligners.correction.train import load_backbone
from aligners.inspectors.inspector import Inspector
from aligners.inspectors.train import load_classifier
from aligners.llms.engines import load_engine
from aligners.models.pretrained import load_model, load_tokenizer


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Directories of models that are loaded in different places."""
    root = tmp_path_factory.mktemp("models")
    train(root, recipe(epochs=1))
    (root / "inspector").mkdir()
    sets = inspector_rows(16), inspector_rows(8, 16), inspector_rows(8, 24)
    train_inspector(INSPECTOR, root / "inspector", *sets)
    return {
        "gpt2": make_model("gpt2", root / "gpt2"),
        "aligner": root / "model",
        "inspector": root / "inspector/model",
    }


def load_llm(directory: Path) -> Any:
    keys = {"engine": "transformers", "model": str(directory), "revision": "main"}
    return load_engine(make_recipe(TransformersRecipe, **keys))


def load_external(directory: Path) -> Any:
    keys = {"model": str(directory), "revision": "main", "input_format": "{question} {response}"}
    return Aligner.from_recipe(make_recipe(ExternalRecipe, **keys))


# The places that load a model: which model, and how. tests/judging has that of the pair ranker.
PLACES: dict[str, tuple[str, Callable[[Path], Any]]] = {
    "LLM": ("gpt2", load_llm),
    "external aligner": ("gpt2", load_external),
    "backbone": ("gpt2", lambda path: load_backbone(ModelSource(str(path)), PAPER_FORMAT, None)),
    "aligner": ("aligner", Aligner.from_directory),
    "encoder": ("inspector", lambda path: load_classifier(ModelSource(str(path)), None)),
    "inspector": ("inspector", Inspector.from_directory),
}


def change_weights(directory: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    """Change the weights of a model."""
    weights = load_file(directory / "model.safetensors")
    change(weights)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


def change_config(directory: Path, **keys: Any) -> None:
    """Change keys of a model's config.json."""
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **keys}))


def write_nan(weights: dict[str, torch.Tensor]) -> None:
    """Write NaN to a weight of the second half."""
    name = sorted(weights)[-1]
    weights[name].view(-1)[-1] = float("nan")


def drop_matrix(weights: dict[str, torch.Tensor]) -> None:
    """Remove a matrix of the first layer."""
    del weights[next(name for name in sorted(weights) if ".0." in name and name.endswith("weight"))]


def truncate(path: Path) -> None:
    """Remove the second half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def write_pointer(path: Path) -> None:
    """Replace a file by its pointer of Git LFS."""
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")


# Changes of a model's directory, and what the message has.
FAULTS: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "missing weight": (lambda path: change_weights(path, drop_matrix), [".0.", "missing"]),
    "NaN": (lambda path: change_weights(path, write_nan), ["NaN", "float32"]),
    "truncated weights": (lambda path: truncate(path / "model.safetensors"), ["model.safetensors"]),
    "pointer": (lambda path: write_pointer(path / "model.safetensors"), ["Git LFS"]),
    "configuration": (lambda path: (path / "config.json").write_text("{\n"), ["config.json"]),
    "tokenizer": (lambda path: truncate(path / "tokenizer.json"), ["tokenizer.json", "not JSON"]),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("place", PLACES)
def test_every_place_names_what_is_wrong_with_a_model(
    models: dict[str, Path], tmp_path: Path, place: str, fault: str
) -> None:
    name, load = PLACES[place]
    directory = tmp_path / "copy"
    shutil.copytree(models[name], directory)
    load(directory)
    change, parts = FAULTS[fault]
    change(directory)
    with pytest.raises(UserError) as caught:
        load(directory)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(directory), *parts):
        assert part in message
    assert any(remedy in message for remedy in ("copy", "correct", "check"))


def rename_weights(weights: dict[str, torch.Tensor]) -> None:
    for name in list(weights):
        weights[f"other.{name}"] = weights.pop(name)


INDEX = {"weight_map": {"transformer.wte.weight": "model-2.safetensors"}}


def shard(directory: Path) -> None:
    (directory / "model.safetensors").rename(directory / "model-1.safetensors")
    (directory / "model.safetensors.index.json").write_text(json.dumps(INDEX))


def bin_weights(directory: Path) -> None:
    torch.save(load_file(directory / "model.safetensors"), directory / "pytorch_model.bin")
    (directory / "model.safetensors").unlink()
    truncate(directory / "pytorch_model.bin")


# Further changes of a language model's directory, and what the message has.
FURTHER: dict[str, tuple[Callable[[Path], object], list[str]]] = {
    "more layers": (lambda path: change_config(path, n_layer=3), ["missing", "transformer.h.2."]),
    "fewer layers": (lambda path: change_config(path, n_layer=1), ["unexpected", ".h.1."]),
    "wider": (lambda path: change_config(path, n_embd=64), ["of another shape"]),
    "vocabulary": (
        lambda path: change_config(path, vocab_size=999),
        ["of another shape", "wte.weight"],
    ),
    "other names": (lambda path: change_weights(path, rename_weights), ["missing"]),
    "infinite": (
        lambda path: change_weights(
            path, lambda each: each["transformer.wte.weight"].fill_(float("inf"))
        ),
        ["transformer.wte.weight", "infinite"],
    ),
    "empty weights": (
        lambda path: (path / "model.safetensors").write_bytes(b""),
        ["model.safetensors"],
    ),
    "missing file": (shard, ["model-2.safetensors", "index"]),
    "truncated .bin": (bin_weights, ["pytorch_model.bin"]),
    "generation settings": (
        lambda path: (path / "generation_config.json").write_text("{"),
        ["generation_config.json", "line 1"],
    ),
    "configuration of a wrong type": (lambda path: change_config(path, n_layer="two"), ["n_layer"]),
    "impossible configuration": (lambda path: change_config(path, n_head=0), ["config"]),
    "list": (lambda path: (path / "config.json").write_text("[]"), ["config.json", "object"]),
    "tokenizer settings": (
        lambda path: (path / "tokenizer_config.json").write_text("{"),
        ["tokenizer_config.json", "line 1"],
    ),
    "empty tokenizer": (
        lambda path: (path / "tokenizer.json").write_text("{}"),
        ["tokenizer.json", "tokenizer"],
    ),
    "pointer of a tokenizer": (
        lambda path: write_pointer(path / "tokenizer.json"),
        ["tokenizer.json", "Git LFS"],
    ),
    "no tokenizer": (lambda path: (path / "tokenizer.json").unlink(), ["tokenizer"]),
}


@pytest.mark.parametrize("fault", FURTHER)
def test_the_message_about_a_faulty_language_model_names_the_file_or_weight(
    models: dict[str, Path], tmp_path: Path, fault: str
) -> None:
    directory = tmp_path / "copy"
    shutil.copytree(models["gpt2"], directory)
    change, parts = FURTHER[fault]
    change(directory)
    source = ModelSource(str(directory), weights="bin" if ".bin" in fault else "safetensors")
    with pytest.raises(UserError) as caught:
        load_tokenizer(source)
        load_model(AutoModelForCausalLM, source, dtype=torch.float32)
    message = str(caught.value)
    assert "\n" not in message
    for part in (str(directory), *parts):
        assert part in message


PLAIN = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "vocab_size": 300,
}
SPECIAL = {f"{name}_token_id": 0 for name in ("pad", "cls", "sep", "bos", "eos")}
# Published encoders, which have no classifier, or that of another task. The first has no pooler.
ENCODERS = [
    (BertForMaskedLM, BertConfig(**PLAIN)),
    (BertModel, BertConfig(**PLAIN)),
    (BertForSequenceClassification, BertConfig(**PLAIN, num_labels=3)),
    (ModernBertForMaskedLM, ModernBertConfig(**PLAIN, **SPECIAL)),
    (ModernBertModel, ModernBertConfig(**PLAIN, **SPECIAL)),
]


@pytest.mark.parametrize(("architecture", "config"), ENCODERS)
def test_an_encoder_gets_a_new_head_and_its_weights_must_be_complete(
    models: dict[str, Path],
    tmp_path: Path,
    architecture: Any,
    config: Any,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    encoder = architecture(config)
    encoder.save_pretrained(tmp_path)
    AutoTokenizer.from_pretrained(models["inspector"]).save_pretrained(tmp_path)
    _, model = load_classifier(ModelSource(str(tmp_path)), None)
    assert model.config.num_labels == 2
    assert any("classifier.weight" in text for text in caplog.messages)
    embeddings = encoder.get_input_embeddings().weight
    assert torch.equal(model.get_input_embeddings().weight, embeddings)
    change_weights(tmp_path, drop_matrix)
    with pytest.raises(UserError, match=r"missing: \S*layers?\.0\."):
        load_classifier(ModelSource(str(tmp_path)), None)


def test_a_trained_inspector_without_its_head_is_an_error(
    models: dict[str, Path], tmp_path: Path
) -> None:
    shutil.copytree(models["inspector"], tmp_path / "copy")
    change_weights(tmp_path / "copy", lambda weights: weights.pop("classifier.weight"))
    with pytest.raises(UserError, match=r"copy: .*missing: classifier\.weight"):
        Inspector.from_directory(tmp_path / "copy")


@pytest.mark.parametrize(
    ("name", "file", "key"),
    [("aligner", "input_format.json", "decoding"), ("inspector", "config.json", "temperature")],
)
def test_a_trained_model_without_one_of_its_settings_is_an_error(
    models: dict[str, Path], tmp_path: Path, name: str, file: str, key: str
) -> None:
    directory = tmp_path / "copy"
    shutil.copytree(models[name], directory)
    settings = json.loads((directory / file).read_text())
    del settings.get("inspector", settings)[key]
    (directory / file).write_text(json.dumps(settings))
    with pytest.raises(UserError) as caught:
        PLACES[name][1](directory)
    for part in (str(directory), file, key):
        assert part in str(caught.value)


# Numbers that a model cannot compute with


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory, models: dict[str, Path]) -> Path:
    """A tiny model of Gemma's architecture whose weights are stored in float16."""
    directory = tmp_path_factory.mktemp("gemma")
    tokenizer = AutoTokenizer.from_pretrained(models["gpt2"])
    config = AutoConfig.for_model(
        "gemma3_text",
        **{**PLAIN, "vocab_size": len(tokenizer)},
        num_key_value_heads=1,
        head_dim=16,
        sliding_window=16,
        max_position_embeddings=256,
    )
    Gemma3ForCausalLM(config).half().save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


def test_a_model_that_overflows_in_float16_is_loaded_in_another_dtype(
    gemma: Path, models: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = load_model(AutoModelForCausalLM, ModelSource(str(gemma)), dtype="auto")
    assert model.dtype in (torch.float32, torch.bfloat16)
    [message] = [text for text in caplog.messages if str(gemma) in text]
    assert "gemma3_text" in message and "float16" in message
    half = tmp_path / "half"
    AutoModelForCausalLM.from_pretrained(models["gpt2"]).half().save_pretrained(half)
    other = load_model(AutoModelForCausalLM, ModelSource(str(half)), dtype="auto")
    assert other.dtype == torch.float16


def test_float16_for_a_model_that_overflows_in_it_is_an_error(gemma: Path) -> None:
    with pytest.raises(UserError, match=r"gemma3_text .*dtype: bfloat16") as caught:
        load_model(AutoModelForCausalLM, ModelSource(str(gemma)), dtype=torch.float16)
    assert str(gemma) in str(caught.value)
