"""The `transformers` engine: loads an LLM in the job itself."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

import jinja2
from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from aligners.configuration.kinds.llms import TransformersRecipe
from aligners.core.completions import (
    Completion,
    Decoding,
    Engine,
    Failure,
    Message,
    Prompt,
    Request,
)
from aligners.core.errors import UserError
from aligners.models.pretrained import (
    best_dtype,
    context_length,
    load_for_inference,
    load_tokenizer,
)
from aligners.models.text_generation import generate

# Number of requests that are sorted by length and batched together.
WINDOW = 4096


def load(recipe: TransformersRecipe) -> Engine:
    """Load the model of an LLM's recipe on all GPUs of the job, and return its engine.

    Raises:
        UserError: the model cannot be loaded, or a chat LLM has no chat template.
    """
    source = recipe.source()
    tokenizer = load_tokenizer(source)
    if recipe.chat_template:
        tokenizer.chat_template = recipe.chat_template
    if recipe.chat and not tokenizer.chat_template:
        raise UserError(
            f"{recipe.model}: the tokenizer has no chat template; "
            "set chat: false or chat_template in the recipe"
        )
    stored = recipe.dtype == "auto"
    model = load_for_inference(
        AutoModelForCausalLM, source, "auto" if stored else best_dtype(recipe.dtype)
    )
    end_ids = end_token_ids(model, tokenizer)
    context = context_length(model)

    def engine(requests: Iterable[Request], decoding: Decoding) -> Iterator[Completion | Failure]:
        remaining = iter(requests)
        while window := list(islice(remaining, WINDOW)):
            ids, prompts = [], []
            for request in window:
                prompt = encode(tokenizer, request.prompt, recipe.chat)
                if context is not None and len(prompt) >= context:
                    yield prompt_too_long(request, len(prompt), context)
                else:
                    ids.append(request.id)
                    prompts.append(prompt)
            for row in generate(
                model, tokenizer, prompts, decoding, end_ids, recipe.batch_tokens, ids
            ):
                yield Completion(
                    ids[row.index],
                    row.text,
                    row.finish,
                    tokens_in=len(prompts[row.index]),
                    tokens_out=row.tokens,
                    seconds=row.seconds,
                )

    return engine


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of the end tokens of the generation settings and of the tokenizer."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = set(configured if isinstance(configured, list) else [configured])
    ids.add(tokenizer.eos_token_id)
    return [token_id for token_id in ids if token_id is not None]


def encode(tokenizer: PreTrainedTokenizerBase, prompt: Prompt, chat: bool) -> list[int]:
    """Return the token ids of a prompt. For a chat LLM, the chat template is applied.

    Raises:
        UserError: the chat template raises an error for the messages.
    """
    if not chat:
        return list(tokenizer(prompt)["input_ids"])
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    try:
        return apply_template(tokenizer, messages)
    except jinja2.TemplateError as error:
        if messages[0]["role"] != "system":
            raise UserError(
                f"{tokenizer.name_or_path}: the chat template rejects the messages: {error}; "
                "set chat_template in the recipe"
            ) from None
        return apply_template(tokenizer, without_system(messages))


def apply_template(tokenizer: PreTrainedTokenizerBase, messages: list[Message]) -> list[int]:
    """Return the token ids of messages, up to the start of the LLM's reply."""
    encoded: Any = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, tokenize=True, return_dict=True
    )
    return list(encoded["input_ids"])


def without_system(messages: list[Message]) -> list[Message]:
    """Prepend the system message to the first user message, for templates without a system role."""
    system, first, *rest = messages
    return [{"role": "user", "content": f"{system['content']}\n\n{first['content']}"}, *rest]


def prompt_too_long(request: Request, tokens: int, context: int) -> Failure:
    """Return the failure of a request whose prompt fills the context."""
    message = f"its prompt of {tokens} tokens fills the model's context of {context}"
    return Failure(request.id, "prompt_too_long", message)
