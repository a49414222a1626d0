"""Combine the shards of an LLM's responses, in the order of the data set."""

import logging
from pathlib import Path

from aligners.core.counts import Counts
from aligners.core.program import run
from aligners.core.reasons import EMPTY_RESPONSE
from aligners.core.rows import read_json
from aligners.llms.shards import gather_shards

logger = logging.getLogger(__name__)

FIELDS = ("id", "question", "response")
# Share of empty responses of which a log warns.
MANY = 0.05


def warn_of_empty_responses(output: Path) -> None:
    """Log a warning if an LLM often returns nothing: it is probably asked in a wrong way."""
    counts = read_json(output.with_suffix(".counts.json"), Counts)
    empty = counts.get("replaced", {}).get(EMPTY_RESPONSE, 0)
    if empty > MANY * counts["out"]:
        logger.warning(
            "%s: %d of %d responses are empty; if the LLM is a chat model, set chat: true in its "
            "recipe, else check the keys prompt and stop of responses there",
            output,
            empty,
            counts["out"],
        )


def main(*, inputs: Path, shards: list[Path], output: Path) -> None:
    """Write the responses of all shards to `output`; counts, dropped rows and usage beside it."""
    gather_shards(inputs, shards, output, FIELDS)
    warn_of_empty_responses(output)


if __name__ == "__main__":
    run(main)
