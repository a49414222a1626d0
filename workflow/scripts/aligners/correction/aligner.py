"""A trained aligner: for one criterion, conditioned on principles as text, or external."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from transformers import PreTrainedTokenizerBase

from aligners.configuration.criteria import load_principles, numbered
from aligners.configuration.kinds.external import ReleasedExternalRecipe
from aligners.configuration.kinds.inference import Inference
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.errors import UserError
from aligners.core.progress import track
from aligners.core.reasons import FAILED, PROBLEMS, TOO_LONG
from aligners.correction.backends import AlignerModel, Backend, load_backends
from aligners.correction.input_format import InputFormat, find_token
from aligners.correction.problems import AlignerCorrection, find_problem
from aligners.correction.saved import SavedAligner, read_directory
from aligners.models.pretrained import load_tokenizer
from aligners.models.special_tokens import plain_ids

logger = logging.getLogger(__name__)

IN_PROCESS = Inference()
BATCH_TOKENS = 32_768


class Aligner:
    """Corrects responses.

    Attributes:
        backend: generates the corrections: a model in this process, or a server.
        tokenizer: of the aligner.
        input_format: of its prompts.
        decoding: how corrections are generated.
        max_tokens: maximum number of tokens of a prompt and its correction together.
    """

    def __init__(
        self,
        backend: Backend,
        tokenizer: PreTrainedTokenizerBase,
        input_format: InputFormat,
        decoding: Decoding,
        max_tokens: int,
    ):
        """Use a backend with these settings; `from_directory` and `from_recipe` make both."""
        self.backend, self.tokenizer, self.input_format = backend, tokenizer, input_format
        self.decoding = decoding
        self.max_tokens = min(max_tokens, backend.context or max_tokens)
        # Each call sets whether the tokenizer splits special tokens, so threads take turns.
        self.tokenizer_lock = Lock()

    @classmethod
    def from_directory(
        cls,
        path: Path,
        input_format: InputFormat | None = None,
        batch_tokens: int = BATCH_TOKENS,
        inference: Inference = IN_PROCESS,
    ) -> "Aligner":
        """Load an aligner that `train_aligner` wrote, with the settings in its directory.

        Args:
            path: the directory.
            input_format: used in place of that of the directory.
            batch_tokens: maximum number of tokens in a batch in this process.
            inference: where the corrections are generated. `load_aligners` loads several aligners,
                which can share a server.

        Raises:
            UserError: the directory is not that of an aligner, or has no weights, or the server
                cannot be used.
        """
        saved = read_directory(Path(path), input_format)
        [backend] = load_backends([saved.model], inference, batch_tokens)
        return cls.from_saved(saved, backend)

    @classmethod
    def from_saved(cls, saved: SavedAligner, backend: Backend) -> "Aligner":
        """Return the aligner of a directory, with the backend that has its model."""
        tokenizer = saved.model.tokenizer
        return cls(backend, tokenizer, saved.input_format, saved.decoding, saved.max_tokens)

    @classmethod
    def from_recipe(cls, recipe: ReleasedExternalRecipe, name: str = "external") -> "Aligner":
        """Load an external aligner by its recipe in config/external/, which has a `name`.

        Raises:
            UserError: the model cannot be loaded, or the server cannot be used.
        """
        source = recipe.source()
        tokenizer = load_tokenizer(source)
        end = find_token(tokenizer, recipe.end) if recipe.end else ""
        # An end that is no token is found as text; decoded first, it has no space before it.
        stop = (recipe.end.strip(),) if recipe.end and not end else ()
        input_format = InputFormat(prompt=recipe.input_format, end=end)
        model = AlignerModel(
            name,
            source,
            recipe.model,
            recipe.dtype,
            tokenizer,
            input_format.end_token_ids(tokenizer),
        )
        [backend] = load_backends([model], recipe.inference, recipe.batch_tokens)
        decoding = Decoding(**recipe.decoding.model_dump(), stop=stop)
        return cls(backend, tokenizer, input_format, decoding, recipe.max_tokens)

    def close(self) -> None:
        """Stop the aligner's server, if it started one. Aligners that share it stop working."""
        self.backend.close()

    def for_criterion(
        self, criterion: str
    ) -> Callable[[Sequence[str], Sequence[str]], list[AlignerCorrection]]:
        """Return `align`, with the criterion's principles if the aligner is conditioned."""
        if not self.input_format.reads_principles:
            return self.align
        return partial(self.align, principles=numbered(load_principles(criterion)))

    def align(
        self,
        questions: Sequence[str],
        responses: Sequence[str],
        principles: str = "",
        description: str = "aligning",
    ) -> list[AlignerCorrection]:
        """Return the correction of each (question, response), in order.

        The aligner does not act on a response that does not fit whole into its prompt, or into its
        new tokens: it would lose a part of the text. The number of corrections with a problem is
        logged.

        Args:
            questions: one for each row.
            responses: as many as questions.
            principles: for a conditioned aligner only, which corrects by them; it need not have
                seen them in training. Format them with `criteria.numbered`, as in training.
            description: of the progress that is logged.

        Raises:
            UserError: a conditioned aligner gets no principles, or another aligner gets some.
        """
        self.check_principles(principles)
        corrections = [AlignerCorrection(response, TOO_LONG) for response in responses]
        with self.tokenizer_lock:
            requests = self.requests(questions, responses, principles)
        failures: list[Failure] = []
        completed = self.backend.complete(requests, self.decoding)
        for result in track(completed, len(requests), description):
            index = int(result.id)
            corrections[index] = correction_of(result, responses[index])
            if isinstance(result, Failure):
                failures.append(result)
        self.log_problems(corrections, failures)
        return corrections

    def requests(
        self, questions: Sequence[str], responses: Sequence[str], principles: str
    ) -> list[Request]:
        """Return the requests of the rows that fit whole; the id of each is the row's index."""
        indices, prompts = self.encode(questions, responses, principles)
        context, reads_text = self.backend.context, self.backend.reads_text
        requests = []
        for index, ids in zip(indices, prompts, strict=True):
            texts = questions[index], responses[index], principles
            text = self.input_format.prompt_text(self.tokenizer, *texts) if reads_text else ""
            requests.append(
                Request(
                    str(index),
                    text,
                    token_ids=() if reads_text else tuple(ids),
                    max_new_tokens=None if context is None else context - len(ids),
                )
            )
        return requests

    def log_problems(
        self, corrections: Sequence[AlignerCorrection], failures: Sequence[Failure]
    ) -> None:
        """Log how many corrections have which problem, and the first failure, if any has one."""
        counts = Counter(each.problem for each in corrections if each.problem)
        if counts:
            listed = ", ".join(f"{counts[name]} {name}" for name in PROBLEMS if counts[name])
            logger.warning(
                "%d of %d corrections cannot be used: %s (a prompt has at most %d tokens, a "
                "correction at most %d)",
                counts.total(),
                len(corrections),
                listed,
                self.prompt_limit(),
                self.decoding.max_new_tokens,
            )
        if failures:
            logger.warning(
                "%s: requests that failed: %d; the first one: %s (%s)",
                self.backend.name,
                len(failures),
                failures[0].message,
                failures[0].cause,
            )

    def check_principles(self, principles: str) -> None:
        """Check that a conditioned aligner gets principles, and any other aligner none.

        Raises:
            UserError: principles are missing, or the aligner does not read them.
        """
        name = self.backend.name
        if self.input_format.reads_principles and not principles.strip():
            raise UserError(
                f"{name}: a conditioned aligner needs principles, and none were given; pass "
                "principles as text"
            )
        if principles and not self.input_format.reads_principles:
            raise UserError(
                f"{name}: this aligner does not read principles, but some were given; pass no "
                "principles, or use the conditioned aligner"
            )

    def encode(
        self, questions: Sequence[str], responses: Sequence[str], principles: str
    ) -> tuple[list[int], list[list[int]]]:
        """Return the indices of the rows that fit whole, and their prompts as token ids.

        A response of more tokens than the aligner may write does not fit either: the aligner could
        not repeat it, and a correction that leaves most of it out can look complete.
        """
        limit = self.prompt_limit()
        prompts = {
            index: self.input_format.prompt_ids(self.tokenizer, question, response, principles)
            for index, (question, response) in enumerate(zip(questions, responses, strict=True))
        }
        fitting = {
            index: ids
            for index, ids in prompts.items()
            if len(ids) <= limit
            and len(plain_ids(self.tokenizer, responses[index])) <= self.decoding.max_new_tokens
        }
        return list(fitting), list(fitting.values())

    def prompt_limit(self) -> int:
        """Return the most tokens of a prompt; it leaves at most half of all for the correction."""
        return max(self.max_tokens - self.decoding.max_new_tokens, self.max_tokens // 2)


def correction_of(result: Completion | Failure, response: str) -> AlignerCorrection:
    """Return what a backend's result is as the correction of a response."""
    if isinstance(result, Failure):
        return AlignerCorrection(
            response, TOO_LONG if result.cause == "prompt_too_long" else FAILED
        )
    text = result.text.strip()
    return AlignerCorrection(text, find_problem(text, result.finish == "stop", response))
