"""Train an aligner: a causal language model that learns the aligned response, and only that."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)

from aligners.core.errors import UserError
from aligners.core.rows import Row, write_rows
from aligners.correction.input_format import InputFormat, fill, save_format
from aligners.models.from_scratch import make_causal_model
from aligners.models.pretrained import load_model, load_tokenizer, set_dropout
from aligners.models.text_generation import context_length
from aligners.synthesis.training_sets import sample
from aligners.training.lora import add_adapters, merge_adapters
from aligners.training.packing import pack, pad, prepare_for_packing
from aligners.training.record import Source, training_record, write_record
from aligners.training.trainer import (
    export,
    make_trainer,
    train_to_the_best,
    training_metrics,
    with_model,
)


def train_aligner(
    recipe: dict[str, Any],
    input_format: InputFormat,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    output_directory: Path,
    working_directory: Path,
    seed: int,
    source: Source,
) -> dict[str, Any]:
    """Train an aligner and write its directory: weights, tokenizer, input format, decoding.

    Beside them lie training.json, and the rows that are too long in dropped.jsonl.

    Args:
        recipe: of config/backbones/.
        input_format: what the aligner reads; saved with it.
        train_rows, validation_rows: aligner sets, rows with question, response, aligned_response.
        output_directory: written whole at the end.
        working_directory: keeps checkpoints; a killed job goes on from the last whole one.
        seed: decides new weights, the order of the rows and the validation sample.
        source: what the rows are from, for training.json.

    Returns:
        Metrics: best_step, validation_loss (mean over tokens, in nats), steps, epochs, train_rows,
        validation_rows, truncated, dropped, parameters, unpadded_share, losses.

    Raises:
        UserError: the model cannot be had or trained as the recipe says.
    """
    texts = tokenizer_texts(input_format, train_rows)
    base = with_model(recipe, make_causal_model, texts, working_directory, seed)
    set_seed(seed)  # The embeddings of added tokens are drawn around the mean of the others.
    tokenizer, model = load_backbone(base, input_format)
    max_tokens = min(recipe["max_tokens"], context_length(model) or recipe["max_tokens"])
    validation_sample, _ = sample(validation_rows, recipe["validation_rows"], seed)
    dropped: list[Row] = []
    train = encode_rows(tokenizer, input_format, train_rows, max_tokens, dropped)
    validation = encode_rows(tokenizer, input_format, validation_sample, max_tokens, dropped)
    if not train or not validation:
        raise UserError(
            f"{len(train)} training and {len(validation)} validation rows are left of "
            f"{len(train_rows)} and {len(validation_sample)} ({len(dropped)} too long for "
            f"max_tokens {max_tokens}); an aligner needs some of both"
        )
    packed = prepare_for_packing(model)
    if recipe["lora"]:
        set_seed(seed)
        model = add_adapters(model, recipe["lora"], input_format.added_ids(tokenizer))
    trainer = make_trainer(
        recipe,
        model,
        tokenizer,
        train,
        validation,
        pack if packed else pad,
        packed,
        working_directory,
        seed,
    )
    clock = train_to_the_best(trainer, recipe, "training the aligner")
    if recipe["lora"]:
        trainer.model = merge_adapters(trainer.model)
    metrics = {
        "train_rows": len(train),
        "validation_rows": len(validation),
        "truncated": sum(row["truncated"] for row in train + validation),
        "dropped": len(dropped),
        **training_metrics(trainer),
    }
    record = training_record(source, recipe, seed, trainer, clock, metrics)
    # Whoever loads the model without this library also gets texts that end.
    trained: Any = trainer.model
    trained.generation_config.eos_token_id = input_format.end_token_id(tokenizer)

    def write_beside(directory: Path) -> None:
        save_format(directory, input_format, recipe)
        write_rows(directory / "dropped.jsonl", dropped)
        write_record(directory, record)

    export(trainer, output_directory, write_beside)
    return metrics


def tokenizer_texts(input_format: InputFormat, rows: Sequence[Row]) -> list[str]:
    """Return what a new tokenizer learns from: the rows, and the words of the format around them.

    Added tokens are left out, as they are tokens already.
    """
    template = input_format.prompt
    for token in input_format.added_tokens:
        template = template.replace(token, "\n")
    prompts = [
        fill(template, row["question"], row["response"], row.get("principles", "")) for row in rows
    ]
    return [*prompts, *(row["aligned_response"] for row in rows)]


def load_backbone(
    recipe: dict[str, Any], input_format: InputFormat
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load a backbone and teach its tokenizer the format's separators.

    Weights are float32, also where the device computes in half precision: small updates would
    otherwise be lost.
    """
    tokenizer = load_tokenizer(recipe)
    input_format.add_tokens(tokenizer)
    model = load_model(AutoModelForCausalLM, recipe, dtype=torch.float32)
    embeddings: Any = model.get_input_embeddings()
    # Some models have more rows of embeddings than tokens: none is taken away.
    if len(tokenizer) > embeddings.num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    set_dropout(model, recipe["dropout"])
    return tokenizer, model


def encode_rows(
    tokenizer: PreTrainedTokenizerBase,
    input_format: InputFormat,
    rows: Sequence[Row],
    max_tokens: int,
    dropped: list[Row],
) -> list[dict[str, Any]]:
    """Encode rows as input_ids, the length of the prompt in them, and whether it was cut.

    A row whose question and aligned response do not fit, with its principles if the format has
    them, goes to `dropped` with the reason.
    """
    encoded = []
    for row in rows:
        completion = input_format.completion_ids(tokenizer, row["aligned_response"])
        room = max_tokens - len(completion)
        prompt = input_format.encode_prompt(
            tokenizer, row["question"], row["response"], room, row.get("principles", "")
        )
        if prompt is None:
            dropped.append({**row, "reason": "too_long"})
            continue
        encoded.append(
            {
                "id": row["id"],
                "input_ids": prompt.ids + completion,
                "prompt_tokens": len(prompt.ids),
                "truncated": prompt.truncated,
            }
        )
    return encoded
