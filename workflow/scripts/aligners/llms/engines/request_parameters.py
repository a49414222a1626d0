"""The parameters of a request to a server with OpenAI's API."""

from collections.abc import Sequence
from typing import Any

from aligners.configuration.kinds.llms import ServerRecipe
from aligners.core.completions import Decoding, Request
from aligners.core.rows import row_id

SEED_BITS = 31


def request_parameters(
    recipe: ServerRecipe, decoding: Decoding, request: Request
) -> dict[str, Any]:
    """Return the parameters of a request.

    `extra_body` has those that are not in OpenAI's API. The seed depends on the request's id, so
    that two requests with one prompt get different texts.
    """
    prompt: Any = list(request.token_ids) or request.prompt
    if recipe.chat and isinstance(prompt, str):
        prompt = [{"role": "user", "content": prompt}]
    sampling = {
        "temperature": decoding.temperature,
        "seed": int(row_id(str(decoding.seed), request.id), 16) % (1 << SEED_BITS),
        **({"stop": list(decoding.stop)} if decoding.stop else {}),
        **({"top_p": decoding.top_p} if decoding.top_p is not None else {}),
        **({"logprobs": True, "top_logprobs": top} if (top := decoding.top_logprobs) else {}),
    }
    left_out = recipe.leave_out or ()
    return {
        "messages" if recipe.chat else "prompt": prompt,
        **response_format(decoding.json_fields),
        "model": recipe.model,
        recipe.limit_parameter: request.limit(decoding),
        **{name: value for name, value in sampling.items() if name not in left_out},
        "extra_body": extra_parameters(recipe, decoding),
    }


def extra_parameters(recipe: ServerRecipe, decoding: Decoding) -> dict[str, Any]:
    """Return the parameters that are not in OpenAI's API: of the decoding and of the recipe.

    They replace parameters of the same name, so the recipe's `top_p` is left out if the decoding
    has one.
    """
    extra = dict(recipe.extra)
    left_out = recipe.leave_out or ()
    if decoding.top_p is not None and "top_p" not in left_out:
        extra.pop("top_p", None)
    if decoding.repetition_penalty != 1.0:
        extra[recipe.penalty_parameter] = decoding.repetition_penalty
    if decoding.top_k is not None and "top_k" not in left_out:
        extra["top_k"] = decoding.top_k
    if recipe.template_options:
        extra["chat_template_kwargs"] = recipe.template_options
    return extra


def response_format(fields: Sequence[str]) -> dict[str, Any]:
    """Return the parameter that demands a JSON object with these fields; none without fields."""
    if not fields:
        return {}
    schema = {
        "type": "object",
        "properties": {name: {"type": "string"} for name in fields},
        "required": list(fields),
        "additionalProperties": False,
    }
    named = {"name": "parts", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}
