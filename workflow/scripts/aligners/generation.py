"""Generation that loses and repeats nothing: every completion is kept as soon as it exists.

Completions go to an append-only ledger outside the declared outputs, keyed by what decides them:
the LLM, the prompt and the decoding. A job that was killed asks only for what is missing, and a
change of how completions are parsed asks for nothing at all.
"""

import json
import os
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from aligners.engines import Completion, Decoding, Engine, Prompt, Request, load_engine
from aligners.fingerprint import llm_identity, short_hash
from aligners.progress import track
from aligners.recipes import Recipe, load_recipe
from aligners.working_state import working_directory

SYNC_SECONDS = 1.0


def read_ledger(path: Path) -> dict[str, Completion]:
    """Return the completions of a ledger by key, and cut off a last line that is incomplete."""
    completions: dict[str, Completion] = {}
    if not path.exists():
        return completions
    complete = 0
    with path.open("rb") as handle:
        for line in handle:
            try:
                entry = json.loads(line)
            except ValueError:
                break
            if not line.endswith(b"\n"):
                break
            complete += len(line)
            completions[entry["key"]] = Completion(entry["id"], entry["text"], entry["finish"])
    os.truncate(path, complete)
    return completions


def llm_prompt(recipe: Recipe, text: str) -> Prompt:
    """Return a text as the prompt of an LLM: a user's message for a chat LLM, else as it is."""
    return [{"role": "user", "content": text}] if recipe["chat"] else text


class Generator:
    """Asks one LLM for completions and keeps each in the ledger of the output it is for."""

    def __init__(self, llm: str, output: Path):
        """Prepare the LLM named by its recipe; it is loaded when the first row is missing."""
        self.recipe = load_recipe("llms", llm)
        self.llm = llm
        self.identity = llm_identity(llm)
        self.ledger = working_directory(output) / "completions.jsonl"
        self.done = read_ledger(self.ledger)
        self.engine: Engine | None = None

    def complete(
        self, requests: Sequence[Request], decoding: Decoding, description: str
    ) -> dict[str, Completion]:
        """Return the completion of every request by the request's id."""
        decided_by = [self.identity, asdict(decoding)]
        keys = {
            request.id: f"{request.id} {short_hash([*decided_by, request.prompt])}"
            for request in requests
        }
        missing = [request for request in requests if keys[request.id] not in self.done]
        if missing:
            self.generate(missing, decoding, keys, description)
        return {request.id: self.done[keys[request.id]] for request in requests}

    def generate(
        self,
        requests: Sequence[Request],
        decoding: Decoding,
        keys: dict[str, str],
        description: str,
    ) -> None:
        """Ask for completions and append each to the ledger as it comes."""
        if self.engine is None:
            self.engine = load_engine(self.recipe)
        completions = self.engine(requests, decoding)
        synced = time.monotonic()
        with self.ledger.open("a", encoding="utf-8") as ledger:
            for completion in track(completions, len(requests), description, "completions"):
                entry = {"key": keys[completion.id], **asdict(completion)}
                ledger.write(json.dumps(entry, ensure_ascii=False) + "\n")
                ledger.flush()
                if time.monotonic() - synced > SYNC_SECONDS:
                    os.fsync(ledger.fileno())
                    synced = time.monotonic()
                self.done[entry["key"]] = completion
            os.fsync(ledger.fileno())
