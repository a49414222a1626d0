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

from aligners.errors import UserError
from aligners.from_scratch import make_causal_model
from aligners.input_format import InputFormat, fill, save_format
from aligners.pretrained import load_model, load_tokenizer
from aligners.rows import Row, atomic_path, write_rows
from aligners.text_generation import context_length
from aligners.training import (
    GroupedTrainer,
    Rows,
    by_length,
    device_batches,
    process_state,
    save_model,
    train_to_the_best,
    training_arguments,
    training_metrics,
)

IGNORED = -100


def train_aligner(
    recipe: dict[str, Any],
    input_format: InputFormat,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
    output_directory: Path,
    working_directory: Path,
    seed: int,
) -> dict[str, Any]:
    """Train an aligner and write its directory: weights, tokenizer, input format, decoding.

    Args:
        recipe: of config/backbones/.
        input_format: what the aligner reads; saved with it.
        train_rows, validation_rows: aligner sets, rows with question, response, aligned_response.
        output_directory: written whole at the end, with rows that are too long in dropped.jsonl.
        working_directory: keeps checkpoints; a killed job goes on from the last complete one.

    Returns:
        Metrics: best_step, validation_loss (mean over tokens, in nats), steps, epochs, train_rows,
        validation_rows, truncated, dropped, parameters, losses.

    Raises:
        UserError: the model cannot be had or trained as the recipe says.
    """
    base = base_model(recipe, input_format, train_rows, working_directory, seed)
    set_seed(seed)  # The embeddings of added tokens are drawn around the mean of the others.
    tokenizer, model = load_backbone(base, input_format)
    max_tokens = min(recipe["max_tokens"], context_length(model) or recipe["max_tokens"])
    dropped: list[Row] = []
    train = encode_rows(tokenizer, input_format, train_rows, max_tokens, dropped)
    validation = encode_rows(tokenizer, input_format, validation_rows, max_tokens, dropped)
    if not train or not validation:
        raise UserError(
            f"{len(train)} training and {len(validation)} validation rows are left of "
            f"{len(train_rows)} and {len(validation_rows)} ({len(dropped)} too long for max_tokens "
            f"{max_tokens}); an aligner needs some of both"
        )
    trainer = make_trainer(recipe, model, tokenizer, train, validation, working_directory, seed)
    train_to_the_best(trainer, recipe["patience"], "training the aligner")
    if trainer.is_world_process_zero():
        # Whoever loads the model without this library also gets texts that end.
        model.generation_config.eos_token_id = input_format.end_token_id(tokenizer)
        with atomic_path(output_directory) as partial:
            save_model(trainer, partial)
            save_format(partial, input_format, recipe)
            write_rows(partial / "dropped.jsonl", dropped)
    return {
        "train_rows": len(train),
        "validation_rows": len(validation),
        "truncated": sum(row["truncated"] for row in train + validation),
        "dropped": len(dropped),
        **training_metrics(trainer),
    }


def base_model(
    recipe: dict[str, Any],
    input_format: InputFormat,
    rows: Sequence[Row],
    working_directory: Path,
    seed: int,
) -> dict[str, Any]:
    """Return a recipe that names a model, made here first if it starts from random weights."""
    if "from_scratch" not in recipe:
        return recipe
    directory = working_directory / "random_weights"
    with process_state().main_process_first():
        if not directory.is_dir():
            texts = tokenizer_texts(input_format, rows)
            make_causal_model(recipe["from_scratch"], texts, directory, seed)
    return {**recipe, "model": str(directory)}


def tokenizer_texts(input_format: InputFormat, rows: Sequence[Row]) -> list[str]:
    """Return what a new tokenizer learns from: the rows, and the words of the format around them.

    Added tokens are left out, as they are tokens already.
    """
    template = input_format.prompt
    for token in input_format.added_tokens:
        template = template.replace(token, "\n")
    prompts = [fill(template, row["question"], row["response"]) for row in rows]
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
    # transformers cannot tell the loss from GPT-2's class name, and warns.
    model.loss_type = "ForCausalLM"
    return tokenizer, model


def encode_rows(
    tokenizer: PreTrainedTokenizerBase,
    input_format: InputFormat,
    rows: Sequence[Row],
    max_tokens: int,
    dropped: list[Row],
) -> list[dict[str, Any]]:
    """Encode rows as input_ids, the length of the prompt in them, and whether it was cut.

    A row whose question and aligned response do not fit goes to `dropped` with the reason.
    """
    encoded = []
    for row in rows:
        completion = input_format.completion_ids(tokenizer, row["aligned_response"])
        room = max_tokens - len(completion)
        prompt = input_format.encode_prompt(tokenizer, row["question"], row["response"], room)
        if prompt is None:
            dropped.append({**row, "reason": "too_long"})
            continue
        encoded.append(
            {
                "input_ids": prompt.ids + completion,
                "prompt_tokens": len(prompt.ids),
                "truncated": prompt.truncated,
            }
        )
    return encoded


class CompletionCollator:
    """Pads rows on the right; labels are the aligned response with its end token, nothing else.

    Only the logits from the shortest prompt on are computed: no label lies before.
    """

    def __init__(self, pad_token_id: int):
        """Remember the token to pad with; it is masked, so any will do."""
        self.pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        """Return input_ids and attention_mask (rows x tokens), and labels (rows x logits kept)."""
        width = max(len(row["input_ids"]) for row in rows)
        input_ids = torch.full((len(rows), width), self.pad_token_id)
        attention_mask = torch.zeros(len(rows), width, dtype=torch.long)
        labels = torch.full((len(rows), width), IGNORED)
        for position, row in enumerate(rows):
            ids, start = torch.tensor(row["input_ids"]), row["prompt_tokens"]
            input_ids[position, : len(ids)] = ids
            attention_mask[position, : len(ids)] = 1
            labels[position, start : len(ids)] = ids[start:]
        # One more than there are labels: the last token of the prompt predicts the first.
        kept = width - min(row["prompt_tokens"] for row in rows) + 1
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels[:, -kept:],
            "logits_to_keep": kept,
        }


class AlignerTrainer(GroupedTrainer):
    """A Trainer whose validation loss is the mean over all tokens, whatever the batches."""

    validation_tokens_per_row = 1.0

    def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        """Return the loss; in evaluation scaled so that the Trainer's mean over rows is right."""
        if not model.training:
            kwargs["num_items_in_batch"] = torch.tensor(
                len(inputs["labels"]) * self.validation_tokens_per_row * self.args.world_size,
                device=inputs["labels"].device,
            )
        return super().compute_loss(model, inputs, *args, **kwargs)


def make_trainer(
    recipe: dict[str, Any],
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    train: Sequence[dict[str, Any]],
    validation: Sequence[dict[str, Any]],
    working_directory: Path,
    seed: int,
) -> AlignerTrainer:
    """Return the trainer of an aligner."""
    batches = device_batches(
        recipe["global_batch_size"], recipe["micro_batch_size"], process_state().num_processes
    )
    arguments = training_arguments(
        recipe, working_directory, seed, len(train), batches, recipe["evaluations_per_epoch"]
    )
    arguments.prediction_loss_only = True
    trainer = AlignerTrainer(
        model=model,
        args=arguments,
        train_dataset=Rows(train),
        eval_dataset=by_length(validation),
        processing_class=tokenizer,
        data_collator=CompletionCollator(tokenizer.eos_token_id or 0),
    )
    labels = sum(len(row["input_ids"]) - row["prompt_tokens"] for row in validation)
    trainer.validation_tokens_per_row = labels / len(validation)
    return trainer
