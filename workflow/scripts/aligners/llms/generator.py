"""Generation: asks an LLM for completions and writes each one to a ledger when it arrives.

Snakemake does not delete the ledger. A key of the ledger is a hash of everything that decides a
completion: the row's id, the LLM, the prompt and the decoding. After a kill, a job requests only
the missing completions. After a change of a parser, it requests none.
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
from aligners.llms.cleaning import is_thought_alone
from aligners.llms.engines import load_engine
from aligners.llms.ledger import KEY_DIGITS, Entry, Ledger, LedgerWriter
from aligners.llms.usage import Usage

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
# Fields of Completion that every entry of the ledger has, and those that it omits if None.
ENTRY_FIELDS = ("id", "text", "finish", "tokens_in", "tokens_out", "seconds", "attempts")
OPTIONAL_ENTRY_FIELDS = ("served_model", "first_token_logprobs", "thoughts")
# Fields of Decoding that keys and entries omit if they have no value: the ledgers of versions
# without them stay valid.
OPTIONAL_DECODING = ("top_logprobs", "top_p", "top_k", "json_fields")


def digest(*parts: Any) -> str:
    """Return the first hexadecimal digits of the SHA-256 hash of the values as JSON."""
    text = json.dumps(parts, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_DIGITS]


def decoding_values(decoding: Decoding) -> dict[str, Any]:
    """Return a decoding for keys and entries."""
    values = asdict(decoding)
    return {name: value for name, value in values.items() if value or name not in OPTIONAL_DECODING}


def llm_prompt(recipe: LLMRecipe, text: str) -> Prompt:
    """Return a text as a prompt: a user message for a chat LLM, the text for a base LLM."""
    return [{"role": "user", "content": text}] if recipe.chat else text


class Generator:
    """Asks one LLM for the completions of one output file, and uses the ledger of the stage.

    Attributes:
        usage: sums over all completions returned so far.
    """

    def __init__(self, llm: str, output: Path):
        """Load the recipe of an LLM. The engine is loaded when the first completion is missing."""
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
        """Ask for the missing completions, then yield each row with its completion, in order.

        Args:
            rows: read up to four times. The requests are built each time, to save memory.
            request_for: builds the request of a row. Ids must be unique within an output.
            decoding: how the completions are sampled.
            description: names the rows in the log and the progress bar.

        Raises:
            UserError: the LLM cannot be used, or rows failed and the recipe has `require_all`.
                The ledger keeps the other completions.
        """
        job = Job(self, self.recipe.with_room_for_thoughts(decoding))
        if any(job.key(request_for(row)) not in self.ledger for row in rows):
            with self.ledger.locked():
                self.complete_missing(job, rows, request_for, description)
            self.check_failures(job.failures, len(rows))
        cut = 0
        for row in rows:
            key = job.key(request_for(row))
            if key in job.failures:
                self.usage.failed[job.failures[key].cause] += 1
                yield row, job.failures[key]
            else:
                entry = self.ledger.read(key)
                self.usage.add(entry)
                completion = read_completion(entry)
                cut += is_thought_alone(completion)
                yield row, completion
        self.ledger.close()
        if cut:
            logger.warning(
                "%s: %d of %d completions reached the token limit within the LLM's thoughts, so "
                "they have no text; raise thought_tokens in %s, or turn thoughts off there with "
                "template_options",
                description,
                cut,
                len(rows),
                recipe_path(LLMRecipe, self.llm),
            )

    def complete_missing(
        self,
        job: "Job",
        rows: Collection[Item],
        request_for: Callable[[Item], Request],
        description: str,
    ) -> None:
        """Ask for the completions that are not in the ledger; its file is locked."""
        characters = [
            len(str(request.prompt))
            for request in map(request_for, rows)
            if job.key(request) not in self.ledger
        ]
        if missing := len(characters):
            self.announce(missing, len(rows), sum(characters), job.decoding, description)
            job.generate((request_for(row) for row in rows), missing, description)

    def announce(
        self, missing: int, total: int, characters: int, decoding: Decoding, description: str
    ) -> None:
        """Log how many completions are missing, and an upper bound of their cost.

        Prompt tokens are estimated. Each completion counts with its maximum length.
        """
        estimate = Usage(
            self.usage.prices,
            tokens_in=characters // CHARACTERS_PER_TOKEN,
            tokens_out=missing * decoding.max_new_tokens,
        )
        cost = estimate.cost_text()
        limit = f", for at most about {cost}" if cost else ""
        logger.info("%s: %d of %d completions are missing%s", description, missing, total, limit)

    def complete_all(
        self, requests: Collection[Request], decoding: Decoding, description: str
    ) -> dict[str, Completion | Failure]:
        """Return the completions by request id (see `complete`). All are held in memory."""
        results = self.complete(requests, lambda request: request, decoding, description)
        return {request.id: result for request, result in results}

    def check_failures(self, failures: dict[int, Failure], total: int) -> None:
        """Check that every row has a completion; without `require_all`, only log a warning.

        Raises:
            UserError: rows have no completion, and the recipe has `require_all`.
        """
        if not failures:
            return
        causes = Counter(failure.cause for failure in failures.values())
        by_cause = ", ".join(f"{count} {cause}" for cause, count in causes.most_common())
        first = next(iter(failures.values()))
        message = (
            f"{self.output}: {len(failures)} of {total} rows have no completion ({by_cause}); "
            f"the first is {first.id}: {first.message}"
        )
        if self.recipe.require_all:
            raise UserError(
                f"{message}. The other completions are kept. Run again to request only the missing "
                f"ones, or set require_all: false in {recipe_path(LLMRecipe, self.llm)} to "
                "continue without them"
            )
        logger.warning("%s. The stage continues without these rows", message)

    def write_usage(self) -> None:
        """Write the usage to `<output>.usage.json`."""
        write_json(self.output.with_suffix(".usage.json"), self.usage.summary())


class Job:
    """One call of `Generator.complete`: computes keys and requests missing completions."""

    def __init__(self, generator: Generator, decoding: Decoding):
        """Compute the common part of all keys and of all entries."""
        self.generator, self.decoding = generator, decoding
        self.prefix = digest(generator.identity, decoding_values(decoding))
        self.failures: dict[int, Failure] = {}
        # Requests without a result yet: request id -> (key, hash of the prompt).
        self.pending: dict[str, tuple[int, str]] = {}
        self.common_fields: Entry = {
            "model": generator.llm,
            **generator.recipe.origin(),
            **generator.recipe.sent(decoding_values(decoding)),
        }

    def key(self, request: Request) -> int:
        """Return the 64-bit key of a request's completion."""
        return int(digest(self.prefix, request.id, digest(request.prompt)), 16)

    def requests(self, requests: Iterator[Request]) -> Iterator[Request]:
        """Yield the requests without a completion, and record them as pending."""
        for request in requests:
            key = self.key(request)
            if key not in self.generator.ledger:
                self.pending[request.id] = (key, digest(request.prompt))
                yield request

    def generate(self, requests: Iterator[Request], missing: int, description: str) -> None:
        """Pass the requests to the engine, and append each completion to the ledger at once."""
        generator = self.generator
        if generator.engine is None:
            generator.engine = load_engine(generator.recipe)
        run, started = datetime.now(UTC).isoformat(timespec="milliseconds"), time.monotonic()
        usage = Usage(generator.recipe.token_prices())
        bar = Progress(missing, description, "completions")
        try:
            with closing(LedgerWriter(generator.ledger)) as ledger:
                for result in generator.engine(self.requests(requests), self.decoding):
                    # An engine may yield a completion twice. Only the first one counts.
                    key, prompt = self.pending.pop(result.id, (None, ""))
                    if key is None:
                        continue
                    if isinstance(result, Failure):
                        self.failures[key] = result
                        usage.failed[result.cause] += 1
                    else:
                        entry = self.entry(result, prompt, run, time.monotonic() - started)
                        ledger.append(key, entry)
                        usage.add(entry)
                    bar.set_postfix(progress_note(usage, time.monotonic() - started))
                    bar.update()
        finally:
            bar.close()

    def entry(self, completion: Completion, prompt: str, run: str, at: float) -> Entry:
        """Return the ledger entry of a completion that came `at` seconds after the run's start."""
        values = asdict(completion)
        return {
            **{name: values[name] for name in ENTRY_FIELDS},
            **{name: values[name] for name in OPTIONAL_ENTRY_FIELDS if values[name] is not None},
            **self.common_fields,
            "prompt": prompt,
            "run": run,
            "at": round(at, 3),
        }


def read_completion(entry: Entry) -> Completion:
    """Return the completion of a ledger entry."""
    names = (*ENTRY_FIELDS, *OPTIONAL_ENTRY_FIELDS)
    return Completion(**{name: entry[name] for name in names if name in entry})


def progress_note(usage: Usage, seconds: float) -> str:
    """Return tokens per second, failures and cost so far, for the progress bar."""
    parts = [f"{usage.tokens_out / seconds:.0f} tokens/s" if seconds else ""]
    if failed := sum(usage.failed.values()):
        parts.append(f"{failed} failed")
    if cost := usage.cost_text():
        parts.append(cost)
    return ", ".join(part for part in parts if part)
