"""A trained aligner: for one criterion, conditioned on principles as text, or external."""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from transformers import AutoModelForCausalLM, PreTrainedModel, PreTrainedTokenizerBase

from aligners.configuration.criteria import load_principles, numbered
from aligners.configuration.kinds.external import ReleasedExternalRecipe
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.core.completions import Decoding
from aligners.core.errors import UserError
from aligners.core.progress import track
from aligners.core.reasons import PROBLEMS, TOO_LONG
from aligners.correction.input_format import InputFormat, find_token, load_format
from aligners.correction.problems import Correction, find_problem
from aligners.models.pretrained import (
    best_dtype,
    context_length,
    load_for_inference,
    load_tokenizer,
)
from aligners.models.special_tokens import plain_ids
from aligners.models.text_generation import generate

logger = logging.getLogger(__name__)

BATCH_TOKENS = 32_768


class Aligner:
    """Corrects responses."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        input_format: InputFormat,
        decoding: Decoding,
        max_tokens: int,
        batch_tokens: int = BATCH_TOKENS,
    ):
        """Use a loaded model with these settings; `from_directory` and `from_recipe` load both."""
        self.model, self.tokenizer, self.input_format = model, tokenizer, input_format
        self.decoding, self.batch_tokens = decoding, batch_tokens
        self.max_tokens = min(max_tokens, context_length(model) or max_tokens)
        self.end_token_ids = {input_format.end_token_id(tokenizer), tokenizer.eos_token_id} - {None}

    @classmethod
    def from_directory(
        cls,
        path: Path,
        input_format: InputFormat | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> "Aligner":
        """Load an aligner that `train_aligner` wrote, with the settings in its directory.

        Raises:
            UserError: the directory is not that of an aligner, or has no weights.
        """
        saved_format, settings = load_format(Path(path))
        source = ModelSource(str(path))
        return cls(
            load_for_inference(AutoModelForCausalLM, source, best_dtype(settings["dtype"])),
            load_tokenizer(source),
            input_format or saved_format,
            Decoding(**settings["decoding"]),
            settings["max_tokens"],
            batch_tokens,
        )

    @classmethod
    def from_recipe(cls, recipe: ReleasedExternalRecipe) -> "Aligner":
        """Load an external aligner by its recipe in config/external/.

        Raises:
            UserError: the model cannot be loaded.
        """
        source = recipe.source()
        tokenizer = load_tokenizer(source)
        end = find_token(tokenizer, recipe.end) if recipe.end else ""
        # An end that is no token is found as text; decoded first, it has no space before it.
        stop = (recipe.end.strip(),) if recipe.end and not end else ()
        return cls(
            load_for_inference(AutoModelForCausalLM, source, best_dtype(recipe.dtype)),
            tokenizer,
            InputFormat(prompt=recipe.input_format, end=end),
            Decoding(**recipe.decoding.model_dump(), stop=stop),
            recipe.max_tokens,
            recipe.batch_tokens,
        )

    def for_criterion(
        self, criterion: str
    ) -> Callable[[Sequence[str], Sequence[str]], list[Correction]]:
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
    ) -> list[Correction]:
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
        corrections = [Correction(response, TOO_LONG) for response in responses]
        indices, prompts = self.encode(questions, responses, principles)
        generated = generate(
            self.model,
            self.tokenizer,
            prompts,
            self.decoding,
            sorted(self.end_token_ids),
            self.batch_tokens,
        )
        for row in track(generated, len(prompts), description):
            index, text = indices[row.index], row.text.strip()
            problem = find_problem(text, row.finish == "stop", responses[index])
            corrections[index] = Correction(text, problem)
        self.log_problems(corrections)
        return corrections

    def log_problems(self, corrections: Sequence[Correction]) -> None:
        """Log how many corrections have which problem, if any has one."""
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

    def check_principles(self, principles: str) -> None:
        """Check that a conditioned aligner gets principles, and any other aligner none.

        Raises:
            UserError: principles are missing, or the aligner does not read them.
        """
        name = self.model.name_or_path
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
