"""Training of an aligner: a causal language model with a loss on the correction's tokens only."""

import shutil
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

from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.errors import UserError
from aligners.core.rows import Row, write_rows
from aligners.correction.adapters import ADAPTER, can_be_served
from aligners.correction.input_format import LIKE_MEANING, InputFormat, fill, save_format
from aligners.models.from_scratch import make_causal_model
from aligners.models.pretrained import load_model, load_tokenizer, set_dropout
from aligners.models.special_tokens import plain_ids
from aligners.synthesis.training_sets import sample
from aligners.training.lora import add_adapters, merge_adapters, save_adapters
from aligners.training.packing import pack, pad, prepare_for_packing
from aligners.training.record import count_rows, training_metrics
from aligners.training.run import TrainingRun
from aligners.training.trainer import BatchTrainer


def train_aligner(
    training: TrainingRun[BackboneRecipe],
    input_format: InputFormat,
    train_rows: Sequence[Row],
    validation_rows: Sequence[Row],
) -> dict[str, Any]:
    """Train an aligner, write its directory, and return its metrics (docs/data.md lists both).

    Args:
        training: its recipe is one of config/backbones/.
        input_format: format of the aligner's prompts; saved with it.
        train_rows, validation_rows: with question, response, aligned_response; with principles
            if the format has them.

    Raises:
        UserError: no row fits, the model cannot be loaded or trained with this recipe, or it has
            not learned to end corrections.
    """
    recipe, seed = training.recipe, training.seed
    base = training.base_model(make_causal_model, tokenizer_texts(input_format, train_rows))
    set_seed(seed)  # Added tokens get random embeddings around the mean of the others.
    tokenizer, model = load_backbone(base, input_format, recipe.dropout)
    encoder = RowEncoder(tokenizer, input_format, training.max_tokens(model))
    validation_sample, _ = sample(validation_rows, recipe.validation_rows, seed)
    train, validation = encoder.encode_sets(train_rows, validation_sample)
    collate = pack if prepare_for_packing(model) else pad
    if recipe.lora:
        set_seed(seed)
        model = add_adapters(model, recipe.lora, input_format.added_ids(tokenizer))
    end = input_format.end_token_id(tokenizer)
    trainer = training.make_trainer(model, tokenizer, train, validation, collate, end)
    training.train_to_best(trainer)
    check_ends(training_metrics(trainer), recipe.least_ended)
    adapter = merge(training, trainer, input_format)
    # Texts then also end at these tokens where the model is used without this library.
    ends = sorted(input_format.end_token_ids(tokenizer))
    trained: Any = trainer.model
    trained.generation_config.eos_token_id = ends if len(ends) > 1 else end
    counts = {**count_rows(train, validation), "dropped": len(encoder.dropped)}
    metrics = {**counts, **training_metrics(trainer)}

    def write_more(directory: Path) -> None:
        encoder.save(directory, recipe)
        if adapter:
            shutil.copytree(adapter, directory / ADAPTER)

    training.export(trainer, metrics, write_more)
    return metrics


def merge(
    training: TrainingRun[BackboneRecipe], trainer: BatchTrainer, input_format: InputFormat
) -> Path | None:
    """Merge the adapters of a trained model into its weights, if the recipe has adapters.

    Returns:
        A directory with the adapters as they were trained; None if no server can apply them.
    """
    recipe, directory = training.recipe, None
    if can_be_served(recipe, input_format):
        directory = training.working_directory / ADAPTER
        save_adapters(
            trainer.model, recipe.source().revision, directory, trainer.is_world_process_zero()
        )
    if recipe.lora:
        trainer.model = merge_adapters(trainer.model)
    return directory


def check_ends(metrics: dict[str, Any], least: float) -> None:
    """Check that a trained aligner ends corrections; else none of its corrections can be used.

    Raises:
        UserError: it ends a smaller share of the validation corrections than `least`.
    """
    if metrics["ended_share"] < least:
        raise UserError(
            f"the aligner has not learned to end corrections: after "
            f"{metrics['ended_share']:.0%} of the validation corrections, the end token is the "
            f"most probable one, and its loss is {metrics['end_loss']:.1f} nats; raise epochs or "
            "learning_rate in the recipe, lower warmup_steps, or use format: plain"
        )


def tokenizer_texts(input_format: InputFormat, rows: Sequence[Row]) -> list[str]:
    """Return the texts to train a new tokenizer on: prompts and corrections.

    The format's added tokens are left out, because training does not have to find them.
    """
    template = input_format.prompt
    for token in input_format.added_tokens:
        template = template.replace(token, "\n")
    prompts = [
        fill(template, row["question"], row["response"], row.get("principles", "")) for row in rows
    ]
    return [*prompts, *(row["aligned_response"] for row in rows)]


def load_backbone(
    source: ModelSource, input_format: InputFormat, dropout: float | None
) -> tuple[PreTrainedTokenizerBase, PreTrainedModel]:
    """Load a backbone and its tokenizer, and add the format's separators to both.

    Weights are float32, also where the device computes in half precision: half precision would
    lose small updates.
    """
    tokenizer = load_tokenizer(source)
    input_format.add_tokens(tokenizer)
    model = load_model(AutoModelForCausalLM, source, dtype=torch.float32)
    embeddings: Any = model.get_input_embeddings()
    # Embeddings: rows x width. Some models have more rows than tokens; these rows stay.
    if len(tokenizer) > embeddings.num_embeddings:
        model.resize_token_embeddings(len(tokenizer), mean_resizing=True)
    start_added_tokens(tokenizer, model, input_format)
    set_dropout(model, dropout)
    return tokenizer, model


@torch.no_grad()
def start_added_tokens(
    tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel, input_format: InputFormat
) -> None:
    """Start the embeddings of a format's added tokens from those of texts of like meaning.

    The end token starts from the backbone's own end token, if it has one.
    """
    layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    own_end = [] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id]
    for token, new in zip(
        input_format.added_tokens, input_format.added_ids(tokenizer), strict=True
    ):
        like = LIKE_MEANING.get(token)
        known = plain_ids(tokenizer, like) if like else own_end
        for layer in layers if known else []:
            layer.weight[new] = layer.weight[known].mean(dim=0)


class RowEncoder:
    """Encodes rows of an aligner set as token ids.

    Attributes:
        dropped: rows whose question and correction, with the principles if the format has them,
            do not fit into max_tokens; each with the reason.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, input_format: InputFormat, max_tokens: int
    ):
        """Use a tokenizer that has the format's added tokens; a row has at most `max_tokens`."""
        self.tokenizer, self.input_format, self.max_tokens = tokenizer, input_format, max_tokens
        self.dropped: list[Row] = []

    def encode_sets(self, *sets: Sequence[Row]) -> list[list[dict[str, Any]]]:
        """Encode the training and the validation rows.

        Raises:
            UserError: no training row fits, or no validation row fits.
        """
        encoded = [self.encode(rows) for rows in sets]
        if not all(encoded):
            train, validation = encoded
            raise UserError(
                f"max_tokens {self.max_tokens}: {len(train)} of {len(sets[0])} training rows and "
                f"{len(validation)} of {len(sets[1])} validation rows fit, and an aligner needs "
                "some of both; raise max_tokens in the recipe, or make more and shorter rows"
            )
        return encoded

    def encode(self, rows: Sequence[Row]) -> list[dict[str, Any]]:
        """Return the id, input_ids, prompt_tokens (how many are the prompt's) and truncated."""
        encoded = []
        for row in rows:
            completion = self.input_format.completion_ids(self.tokenizer, row["aligned_response"])
            prompt = self.input_format.encode_prompt(
                self.tokenizer,
                row["question"],
                row["response"],
                self.max_tokens - len(completion),
                row.get("principles", ""),
            )
            if prompt is None:
                self.dropped.append({**row, "reason": "too_long"})
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

    def save(self, directory: Path, recipe: BackboneRecipe) -> None:
        """Write the input format with the recipe's settings for inference, and the dropped rows."""
        save_format(directory, self.input_format, recipe)
        write_rows(directory / "dropped.jsonl", self.dropped)
