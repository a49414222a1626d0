"""The `transformers` engine: loads an LLM in the job itself."""

import re
from collections.abc import Iterable, Iterator, Mapping
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
from aligners.models.special_tokens import as_plain_text, find_control_tokens
from aligners.models.text_generation import GeneratedText, generate

# Number of requests that are sorted by length and batched together.
WINDOW = 4096


def load(recipe: TransformersRecipe) -> Engine:
    """Load the model of an LLM's recipe on all GPUs of the job, and return its engine.

    Raises:
        UserError: the model cannot be loaded, or the recipe and the tokenizer do not agree on the
            format of prompts.
    """
    source = recipe.source()
    tokenizer = load_tokenizer(source)
    if recipe.chat_template:
        tokenizer.chat_template = recipe.chat_template
    check_format(recipe, tokenizer)
    options = recipe.template_options or {}
    stored = recipe.dtype == "auto"
    model = load_for_inference(
        AutoModelForCausalLM, source, "auto" if stored else best_dtype(recipe.dtype)
    )
    end_ids = end_token_ids(model, tokenizer)
    context = context_length(model.config)

    def engine(requests: Iterable[Request], decoding: Decoding) -> Iterator[Completion | Failure]:
        remaining = iter(requests)
        while window := list(islice(remaining, WINDOW)):
            ids, prompts = [], []
            for request in window:
                prompt = encode(tokenizer, request.prompt, recipe.chat, options)
                if context is not None and len(prompt) >= context:
                    yield prompt_too_long(request, len(prompt), context)
                else:
                    ids.append(request.id)
                    prompts.append(prompt)
            for row in generate(
                model, tokenizer, prompts, decoding, end_ids, recipe.batch_tokens, ids
            ):
                yield completion(ids[row.index], row, len(prompts[row.index]))

    return engine


def check_format(recipe: TransformersRecipe, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check that a chat LLM has a chat template, and that a prompt has no special tokens.

    Raises:
        UserError: there is no template; or the prompt of a base LLM has a special token, which
            would be encoded as text, like those that users type.
    """
    if recipe.chat and not tokenizer.chat_template:
        raise UserError(
            f"{recipe.model}: the tokenizer has no chat template; "
            "set chat: false or chat_template in the recipe"
        )
    found = find_control_tokens(tokenizer, recipe.responses.prompt)
    if found and not recipe.chat:
        raise UserError(
            f"{recipe.model}: the prompt of the key responses has the special token {found[0]!r}, "
            "and a prompt is encoded as text; remove it, or set chat: true and write it in "
            "chat_template"
        )
    for name in recipe.template_options or {}:
        if not re.search(rf"\b{re.escape(name)}\b", str(tokenizer.get_chat_template())):
            raise UserError(
                f"{recipe.model}: the chat template has no option {name!r} of the key "
                "template_options; remove it"
            )


def completion(request_id: str, row: GeneratedText, tokens_in: int) -> Completion:
    """Return the completion of a request with `tokens_in` tokens."""
    return Completion(
        request_id,
        row.text,
        row.finish,
        tokens_in=tokens_in,
        tokens_out=row.tokens,
        seconds=row.seconds,
    )


def end_token_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Return the ids of the end tokens of the generation settings and of the tokenizer."""
    configured = model.generation_config.eos_token_id if model.generation_config else None
    ids = set(configured if isinstance(configured, list) else [configured])
    ids.add(tokenizer.eos_token_id)
    return [token_id for token_id in ids if token_id is not None]


def encode(
    tokenizer: PreTrainedTokenizerBase,
    prompt: Prompt,
    chat: bool,
    options: Mapping[str, Any] = {},
) -> list[int]:
    """Return the token ids of a prompt. For a chat LLM, the chat template is applied.

    `options` are those of the chat template.

    Special tokens in the prompt's texts are encoded as text. Only those of the template, and the
    start token of the tokenizer, are special.

    Raises:
        UserError: the chat template raises an error for the messages.
    """
    if not chat:
        assert isinstance(prompt, str)  # Only chat LLMs get messages.
        text = as_plain_text(tokenizer, prompt)
        return list(tokenizer(text, split_special_tokens=True)["input_ids"])
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    messages = [
        {**message, "content": as_plain_text(tokenizer, message["content"])} for message in messages
    ]
    try:
        return apply_template(tokenizer, messages, options)
    except jinja2.TemplateError as error:
        if messages[0]["role"] != "system":
            raise UserError(
                f"{tokenizer.name_or_path}: the chat template rejects the messages: {error}; "
                "set chat_template in the recipe"
            ) from None
        return encode(tokenizer, without_system(messages), chat, options)


def apply_template(
    tokenizer: PreTrainedTokenizerBase, messages: list[Message], options: Mapping[str, Any]
) -> list[int]:
    """Return the token ids of messages, up to the start of the LLM's reply."""
    template = tokenizer.get_chat_template()
    contents = (message["content"] for message in messages)
    encoded: Any = tokenizer.apply_chat_template(
        messages,
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        **options,
        # Only if it is needed, since it takes 40 ms with a tokenizer of 6000 added tokens.
        sanitize_control_tokens=any(
            find_control_tokens(tokenizer, text, template) for text in contents
        ),
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
