"""Generation: asks an LLM for completions and writes each to a ledger as soon as it exists.

The ledger lies outside the outputs that Snakemake deletes. Its keys are what decides a completion:
the row's id, the LLM, the prompt and the decoding. After a kill, a job asks only for the missing
completions; after a change of a parser, it asks for none.
"""

import hashlib
import json
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import closing
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from aligners.configuration.fingerprint import llm_identity
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.recipes import load_recipe, recipe_path
from aligners.configuration.working_state import working_directory
from aligners.core.completions import (
    CHARACTERS_PER_TOKEN,
    Completion,
    Decoding,
    Engine,
    Failure,
    Prompt,
    Request,
)
from aligners.core.errors import UserError
from aligners.core.progress import Progress
from aligners.core.rows import write_json
from aligners.llms.engines import load_engine
from aligners.llms.ledger import KEY_DIGITS, Entry, Ledger, LedgerWriter
from aligners.llms.usage import Usage

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
# Fields of Completion that every entry of the ledger has, and those left out if they are None.
KEPT = ("id", "text", "finish", "tokens_in", "tokens_out", "seconds", "attempts")
KEPT_IF_ANY = ("served_model", "first_token_logprobs")


def digest(*parts: Any) -> str:
    """Return the first digits of the SHA-256 of values as JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def decoding_values(decoding: Decoding) -> dict[str, Any]:
    """Return a decoding for keys and entries, without `top_logprobs` if it is 0.

    Ledgers that are older than `top_logprobs` keep their keys this way.
    """
    values = asdict(decoding)
    return {name: value for name, value in values.items() if name != "top_logprobs" or value}


def llm_prompt(recipe: LLMRecipe, text: str) -> Prompt:
    """Return a text as a prompt: a user's message for a chat LLM, the text for a base LLM."""
    return [{"role": "user", "content": text}] if recipe.chat else text


class Generator:
    """Asks one LLM for the completions of one output, through the ledger of the stage.

    Attributes:
        usage: the sums over all completions that were returned so far.
    """

    def __init__(self, llm: str, output: Path):
        """Load the recipe of an LLM; the engine is loaded when a completion is missing."""
        self.llm, self.output = llm, output
        self.recipe = load_recipe(LLMRecipe, llm)
        self.identity = llm_identity(llm)
        self.ledger = Ledger(working_directory(output.parent) / output.name)
        self.usage = Usage(self.recipe.token_prices())
        self.engine: Engine | None = None

    def complete(
        self,
        rows: Collection[Item],
        request_for: Callable[[Item], Request],
        decoding: Decoding,
        description: str,
    ) -> Iterator[tuple[Item, Completion | Failure]]:
        """Ask for the missing completions, then yield each row with its own, in order.

        Args:
            rows: read up to three times; requests are made anew each time to save memory.
            request_for: makes the request of a row; ids differ within an output.
            decoding: how the completions are sampled.
            description: names the rows in the log and the progress bar.

        Raises:
            UserError: the LLM cannot be asked; or rows failed and the recipe has `require_all`.
                The ledger keeps what was completed.
        """
        job = Job(self, decoding)
        characters = [
            len(str(request.prompt))
            for request in map(request_for, rows)
            if job.key(request) not in self.ledger
        ]
        missing = len(characters)
        if missing:
            self.announce(missing, len(rows), sum(characters), decoding, description)
            job.generate((request_for(row) for row in rows), missing, description)
            self.check_failures(job.failures, len(rows))
        for row in rows:
            key = job.key(request_for(row))
            if key in job.failures:
                self.usage.failed[job.failures[key].cause] += 1
                yield row, job.failures[key]
            else:
                entry = self.ledger.read(key)
                self.usage.add(entry)
                yield row, read_completion(entry)
        self.ledger.close()

    def announce(
        self, missing: int, asked: int, characters: int, decoding: Decoding, description: str
    ) -> None:
        """Log how many completions are missing, and an upper bound of their cost.

        Tokens of the prompts are estimated; completions count as long as their limit.
        """
        estimate = Usage(
            self.usage.prices,
            tokens_in=characters // CHARACTERS_PER_TOKEN,
            tokens_out=missing * decoding.max_new_tokens,
        )
        cost = estimate.cost_text()
        told = f", for some {cost}" if cost else ""
        logger.info("%s: %d of %d to ask for%s", description, missing, asked, told)

    def complete_all(
        self, requests: Collection[Request], decoding: Decoding, description: str
    ) -> dict[str, Completion | Failure]:
        """Return the completions of requests by their ids (see `complete`); holds all in memory."""
        results = self.complete(requests, lambda request: request, decoding, description)
        return {request.id: result for request, result in results}

    def check_failures(self, failures: dict[int, Failure], asked: int) -> None:
        """Raise an error for rows without a completion, or log a warning, by `require_all`."""
        if not failures:
            return
        causes = Counter(failure.cause for failure in failures.values())
        by_cause = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
        first = next(iter(failures.values()))
        found = (
            f"{self.output}: {len(failures)} of {asked} rows have no completion ({by_cause}); "
            f"the first is {first.id}: {first.message}"
        )
        if self.recipe.require_all:
            raise UserError(
                f"{found}. The others are kept. Run again to ask for these alone, or set "
                f"require_all: false in {recipe_path(LLMRecipe, self.llm)} to go on without them"
            )
        logger.warning("%s", found)

    def write_usage(self) -> None:
        """Write the usage to `<output>.usage.json`."""
        write_json(self.output.with_suffix(".usage.json"), self.usage.summary())


class Job:
    """One call of `Generator.complete`: computes keys, and asks the engine for what is missing."""

    def __init__(self, generator: Generator, decoding: Decoding):
        """Compute what all keys and all entries of the call have in common."""
        self.generator, self.decoding = generator, decoding
        self.prefix = digest(generator.identity, decoding_values(decoding))
        self.failures: dict[int, Failure] = {}
        self.waiting: dict[str, tuple[int, str]] = {}
        self.common: Entry = {
            "model": generator.llm,
            **generator.recipe.origin(),
            "decoding": decoding_values(decoding),
        }

    def key(self, request: Request) -> int:
        """Return the key of a request's completion: 64 bits."""
        return int(digest(self.prefix, request.id, digest(request.prompt)), 16)

    def requests(self, requests: Iterator[Request]) -> Iterator[Request]:
        """Yield the requests without a completion, and remember that they were sent."""
        for request in requests:
            key = self.key(request)
            if key not in self.generator.ledger:
                self.waiting[request.id] = (key, digest(request.prompt))
                yield request

    def generate(self, requests: Iterator[Request], missing: int, description: str) -> None:
        """Ask the engine, and append each completion to the ledger when it arrives."""
        generator = self.generator
        if generator.engine is None:
            generator.engine = load_engine(generator.recipe)
        run, started = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
        usage = Usage(generator.recipe.token_prices())
        bar = Progress(missing, description, "completions")
        try:
            with closing(LedgerWriter(generator.ledger)) as ledger:
                for result in generator.engine(self.requests(requests), self.decoding):
                    # An engine may yield a completion twice; only the first counts.
                    key, prompt = self.waiting.pop(result.id, (None, ""))
                    if key is None:
                        continue
                    if isinstance(result, Failure):
                        self.failures[key] = result
                        usage.failed[result.cause] += 1
                    else:
                        entry = self.entry(result, prompt, run, time.monotonic() - started)
                        ledger.append(key, entry)
                        usage.add(entry)
                    bar.note(progress_note(usage, time.monotonic() - started))
                    bar.update()
        finally:
            bar.close()

    def entry(self, completion: Completion, prompt: str, run: str, at: float) -> Entry:
        """Return the ledger's entry of a completion, `at` seconds after the start of the run."""
        values = asdict(completion)
        return {
            **{name: values[name] for name in KEPT},
            **{name: values[name] for name in KEPT_IF_ANY if values[name] is not None},
            **self.common,
            "prompt": prompt,
            "run": run,
            "at": round(at, 3),
        }


def read_completion(entry: Entry) -> Completion:
    """Return the completion of a ledger's entry."""
    return Completion(**{name: entry[name] for name in (*KEPT, *KEPT_IF_ANY) if name in entry})


def progress_note(usage: Usage, seconds: float) -> str:
    """Return tokens per second, failures and cost so far, for the progress bar."""
    parts = [f"{usage.tokens_out / seconds:.0f} tokens/s" if seconds else ""]
    if failed := sum(usage.failed.values()):
        parts.append(f"{failed} failed")
    if cost := usage.cost_text():
        parts.append(cost)
    return ", ".join(part for part in parts if part)
