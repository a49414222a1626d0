"""Trains a twin for every recipe of a backbone or an inspector.

A twin is a small model with random weights and the architecture of the recipe's model. It is
trained with the recipe, written, loaded again and used. Only sizes and numbers of steps are smaller
than in the recipe. The weights of the real model need a network and are not tested.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny_models
import torch
from recipes import changed
from tiny_inspector import rows as inspector_rows
from tiny_inspector import train as train_inspector
from tiny_training import train
from tokenizers import processors
from transformers import (
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    GemmaTokenizer,
    LlamaTokenizer,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
)

from aligners.configuration.kinds.training import FromScratch
from aligners.configuration.recipes import FOLDERS, load_recipe
from aligners.core.yaml_files import read_yaml
from aligners.correction.aligner import Aligner
from aligners.correction.input_format import PAPER_FORMAT
from aligners.correction.train import RowEncoder, load_backbone
from aligners.inspectors.inspector import Inspector
from aligners.models.from_scratch import make_model, train_byte_tokenizer, train_wordpiece_tokenizer
from aligners.training.packing import pad, prepare_for_packing
from aligners.training.trainer import mean_cross_entropy

CONFIG = Path(__file__).parents[2] / "config"
VOCABULARY = 400

# The architecture of each recipe's model: `model_type` in its config.json.
BACKBONES = {
    "gemma-3-1b": "gemma3_text",
    "gpt2-large": "gpt2",
    "llama-3.2-1b": "llama",
    "mistral-7b": "mistral",
    "phi-2": "phi",
    "pythia-1.4b": "gpt_neox",
    "qwen2.5-0.5b": "qwen2",
    "qwen3-0.6b": "qwen3",
    "qwen3-1.7b": "qwen3",
    "qwen3-8b-lora": "qwen3",
    "redpajama-3b": "gpt_neox",
    "smollm2-135m": "llama",
    "smollm2-135m-instruct": "llama",
    "smollm3-3b": "smollm3",
}
INSPECTORS = {"all-minilm-l6-v2": "bert", "bert-base": "bert", "modernbert-base": "modernbert"}

PLAIN = {
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "hidden_size": 32,
    "intermediate_size": 64,
    "max_position_embeddings": 256,
}
GROUPED = {**PLAIN, "num_key_value_heads": 1, "tie_word_embeddings": True}
# The keys are from the published config.json files; transformers has renamed some of them. Windows
# are shorter than the rows, so that they have an effect. If there are two kinds of layers, the twin
# has one of each.
SHAPES: dict[str, dict[str, Any]] = {
    **tiny_models.SHAPES,
    "llama": GROUPED,
    "mistral": {**GROUPED, "tie_word_embeddings": False, "sliding_window": 16},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 16},
    "gemma3_text": {
        **GROUPED,
        "head_dim": 16,
        "sliding_window": 16,
        "sliding_window_pattern": 2,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
    },
    "smollm3": {**GROUPED, "no_rope_layers": [1, 0], "rope_theta": 5e6},
    "bert": PLAIN,
    "modernbert": {
        **PLAIN,
        "local_attention": 16,
        "global_attn_every_n_layers": 2,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "classifier_pooling": "mean",
    },
}
# Settings of single models that differ from others of the same architecture.
DIFFERENT: dict[str, dict[str, Any]] = {
    "llama-3.2-1b": {
        "rope_theta": 5e5,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 32.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 64,
        },
    },
    "qwen3-8b-lora": {"tie_word_embeddings": False},
}


def texts() -> list[str]:
    """Return the texts on which tokenizers are trained."""
    aligner_rows = tiny_models.rows(60)
    return [
        row[field]
        for row in [*aligner_rows, *inspector_rows(60)]
        for field in ("question", "response")
    ]


def llama_3_tokenizer() -> PreTrainedTokenizerBase:
    """Return a byte-level tokenizer with a start token before every text, like Llama 3."""
    tokenizer: Any = train_byte_tokenizer(texts(), VOCABULARY)
    tokenizer.add_special_tokens({"bos_token": "<|begin_of_text|>"})
    start = tokenizer.bos_token, tokenizer.bos_token_id
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        f"{start[0]} $A", None, [start]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        bos_token=start[0],
        eos_token=tokenizer.eos_token,
    )


def spelling_vocabulary(special_tokens: list[str]) -> dict[str, int]:
    """Return a vocabulary of letters, a visible space, and bytes for all other characters."""
    tokens = [f"<0x{byte:02X}>" for byte in range(256)]
    tokens += ["\u2581", *sorted({letter for text in texts() for letter in text} - {" "})]
    return {token: place for place, token in enumerate([*special_tokens, *tokens])}


def gemma_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer of characters with a start token before every text, like Gemma."""
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<mask>"]
    return GemmaTokenizer(vocab=spelling_vocabulary(special), merges=[], add_bos_token=True)


def llama_2_tokenizer() -> PreTrainedTokenizerBase:
    """Return a tokenizer of characters with a start token and a space first, like Mistral."""
    vocabulary = spelling_vocabulary(["<unk>", "<s>", "</s>"])
    return LlamaTokenizer(vocab=vocabulary, merges=[], add_bos_token=True)


def modernbert_tokenizer() -> PreTrainedTokenizerBase:
    """Return a byte-level tokenizer with BERT's special tokens and no types, like ModernBERT."""
    tokenizer: Any = train_byte_tokenizer(texts(), VOCABULARY)
    tokenizer.add_special_tokens(
        {"cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]", "mask_token": "[MASK]"}
    )
    names = "[CLS]", "[SEP]"
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        "[CLS] $A [SEP]",
        "[CLS] $A [SEP] $B [SEP]",
        list(zip(names, tokenizer.convert_tokens_to_ids(names), strict=True)),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer.backend_tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        mask_token="[MASK]",
        model_input_names=["input_ids", "attention_mask"],
    )


TOKENIZERS: dict[str, Callable[[], PreTrainedTokenizerBase]] = {
    "bert-base": lambda: train_wordpiece_tokenizer(texts(), VOCABULARY),
    "gemma-3-1b": gemma_tokenizer,
    "llama-3.2-1b": llama_3_tokenizer,
    "mistral-7b": llama_2_tokenizer,
    "modernbert-base": modernbert_tokenizer,
}
WITH_START_TOKEN = {"gemma-3-1b", "llama-3.2-1b", "mistral-7b"}


def recipes(kind: str) -> list[str]:
    """Return the names of the recipes with a key `model`."""
    paths = sorted((CONFIG / kind).glob("*.yaml"))
    return [path.stem for path in paths if "model" in read_yaml(path)]


def model_type(kind: str, name: str) -> str:
    """Return the architecture of a recipe's model."""
    known = {"backbones": BACKBONES, "inspectors": INSPECTORS}[kind]
    assert name in known, (
        f"config/{kind}/{name}.yaml has no twin: add the model_type of its model to {kind.upper()} "
        "in tests/training/test_twins.py, and a new model_type also to SHAPES"
    )
    return known[name]


def twin(kind: str, name: str, directory: Path, **small: Any) -> Any:
    """Write a recipe's twin, and return the recipe with the twin and the smaller numbers."""
    architecture = model_type(kind, name)
    tokenizer = TOKENIZERS.get(name, lambda: train_byte_tokenizer(texts(), VOCABULARY))()
    shape = {
        "model_type": architecture,
        "vocabulary_size": VOCABULARY,
        # With the default range, the output of a twin depends too little on its input.
        "config": {"initializer_range": 0.2, **SHAPES[architecture], **DIFFERENT.get(name, {})},
    }
    # The published model of an inspector has the head of another task.
    auto_class = {"backbones": AutoModelForCausalLM, "inspectors": AutoModelForMaskedLM}[kind]
    make_model(auto_class, tokenizer, FromScratch.model_validate(shape), directory / "twin", seed=0)
    return changed(
        load_recipe(FOLDERS[kind], name),
        model=str(directory / "twin"),
        revision="main",
        gated=False,
        dtype="float32",
        learning_rate=5e-3,
        warmup_steps=1,
        epochs=1,
        **small,
    )


def validation_loss(aligner: Aligner) -> float:
    """Return the mean loss of an aligner over the validation rows of `train`."""
    rows = tiny_models.rows(8, start=36)
    encoded = RowEncoder(aligner.tokenizer, PAPER_FORMAT, aligner.max_tokens).encode(rows)
    inputs = pad(encoded)
    labels = inputs.pop("labels")
    with torch.no_grad():
        outputs = aligner.backend.model(**inputs)
    return float(mean_cross_entropy(outputs, labels))


@pytest.mark.usefixtures("in_the_project")
@pytest.mark.parametrize("name", recipes("backbones"))
def test_the_twin_of_a_backbone_is_trained_in_packs_and_used(name: str, tmp_path: Path) -> None:
    recipe = twin(
        "backbones",
        name,
        tmp_path,
        max_tokens=160,
        global_batch_size=12,
        micro_batch_tokens=512,
        evaluations_per_epoch=1,
        decoding={"max_new_tokens": 8, "repetition_penalty": 1.0},
        least_ended=0.0,
    )
    tokenizer, model = load_backbone(recipe.source(), PAPER_FORMAT, recipe.dropout)
    prompt = PAPER_FORMAT.prompt_ids(tokenizer, "What?", "This.")
    assert (prompt[0] == tokenizer.bos_token_id) == (name in WITH_START_TOKEN)
    assert prepare_for_packing(model)
    metrics = train(tmp_path, recipe)
    assert (metrics["steps"], metrics["dropped"], metrics["unpadded_share"]) == (3, 0, 1.0)
    training = [entry["train_loss"] for entry in metrics["losses"] if "train_loss" in entry]
    assert training[-1] < training[0]
    aligner = Aligner.from_directory(tmp_path / "model")
    # The directory has all trained weights, with adapters and tied weights.
    assert validation_loss(aligner) == pytest.approx(metrics["validation_loss"], rel=1e-4)
    rows = tiny_models.rows(4)
    together = aligner.align([row["question"] for row in rows], [row["response"] for row in rows])
    alone = [aligner.align([row["question"]], [row["response"]])[0] for row in rows]
    assert together == alone and len(set(together)) > 1


@pytest.mark.usefixtures("in_the_project")
@pytest.mark.parametrize("name", recipes("inspectors"))
def test_the_twin_of_an_inspector_is_trained_and_used(name: str, tmp_path: Path) -> None:
    recipe = twin("inspectors", name, tmp_path, max_tokens=64, global_batch_size=8)
    test = inspector_rows(16, 40)
    metrics, _ = train_inspector(recipe, tmp_path, inspector_rows(32), inspector_rows(8, 32), test)
    assert (metrics["steps"], metrics["n"], metrics["truncated"]) == (4, 16, 0)
    inspector = Inspector.from_directory(tmp_path / "model")
    questions, responses = [r["question"] for r in test], [r["response"] for r in test]
    log_odds = inspector.log_odds(questions, responses)
    assert len(set(log_odds)) > 1
    predicted = np.array(log_odds) >= inspector.threshold
    assert np.mean(predicted == [row["label"] for row in test]) == metrics["accuracy"]
    inspector.batch_tokens = 1
    assert inspector.log_odds(questions, responses) == pytest.approx(log_odds, abs=1e-4)
