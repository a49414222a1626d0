"""Checks that a server uses the parameters that OpenAI's API does not have.

Many servers pass over a parameter that they do not know, and report no error. llama.cpp, for
instance, calls the repetition penalty `repeat_penalty`. So a few short requests, before those of
the job, show whether such a parameter changes the texts.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from aligners.configuration.kinds.llms import ServerRecipe
from aligners.core.completions import Decoding
from aligners.core.errors import UserError

# Returns the text of a prompt under a decoding.
TextOf = Callable[[str, Decoding], Awaitable[str]]

# A text that a model continues by repeating it, unless a penalty forbids it.
REPETITIVE = "Continue: " + "one two three four, " * 6
STRONG_PENALTY = 2.0
# A text that a model continues with something else each time.
OPEN = "Write any sentence, about anything:"
HIGH_TEMPERATURE = 1.5
DRAWS = 3
PROBE_TOKENS = 32


class IgnoredParameter(UserError):
    """A server ignores a parameter."""


async def check_parameters(
    url: str, recipe: ServerRecipe, decoding: Decoding, text_of: TextOf
) -> None:
    """Check the repetition penalty and top_k of a decoding, if it has them.

    Raises:
        IgnoredParameter: the server ignores one of them. Errors of `text_of` are raised as well.
    """
    if decoding.repetition_penalty != 1.0 and not await uses_penalty(text_of):
        raise IgnoredParameter(
            f"{url}: the server ignores the parameter {recipe.penalty_parameter}: a text is the "
            f"same with a penalty of {STRONG_PENALTY:g} and without; set penalty_parameter in the "
            "LLM's recipe to the server's own name (llama.cpp, Ollama: repeat_penalty), or set "
            "repetition_penalty: 1 where it is set"
        )
    left_out = recipe.leave_out or ()
    if decoding.top_k is None or {"top_k", "temperature", "seed"}.intersection(left_out):
        return
    if not await uses_top_k(text_of):
        raise IgnoredParameter(
            f"{url}: the server ignores the parameter top_k: with top_k: 1, {DRAWS} seeds give "
            f"{DRAWS} texts; remove top_k where it is set, or use top_p"
        )


async def uses_penalty(text_of: TextOf) -> bool:
    """Return whether a strong repetition penalty changes a repetitive text."""
    probe = Decoding(max_new_tokens=PROBE_TOKENS)
    penalised = replace(probe, repetition_penalty=STRONG_PENALTY)
    return await text_of(REPETITIVE, probe) != await text_of(REPETITIVE, penalised)


async def uses_top_k(text_of: TextOf) -> bool:
    """Return whether texts of several seeds agree if only the likeliest token can be drawn.

    Servers round, so two texts may differ in spite of it; but not all.
    """
    probe = Decoding(max_new_tokens=PROBE_TOKENS, temperature=HIGH_TEMPERATURE, top_k=1)
    texts = {await text_of(OPEN, replace(probe, seed=seed)) for seed in range(DRAWS)}
    return len(texts) < DRAWS
