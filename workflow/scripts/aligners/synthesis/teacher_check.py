"""The check of a teacher: can enough of a job's first pairs be used?

A teacher that does not follow the prompt costs as much as a good one. So a job asks for its first
pairs, reports them in the log, and stops before it asks for the others if too few can be used.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import mean
from textwrap import shorten

from aligners.configuration.criteria import load_principles
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import recipe_path
from aligners.core.completions import Completion, Decoding, Failure, Request
from aligners.core.counts import Filtered
from aligners.core.errors import UserError
from aligners.core.formats import percent
from aligners.core.rows import Row
from aligners.llms.generator import Generator
from aligners.synthesis.critiques import critique_reader
from aligners.synthesis.filters import filter_pair
from aligners.synthesis.task import Task
from aligners.synthesis.training_sets import is_identity

# It decides whether a job goes on, not what is in its output.
AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)

# Number of questions that a job asks before the check.
FIRST = 50
# With fewer pairs, a share says little about the teacher: a job only reports them.
FEWEST = 10
SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Report:
    """What a teacher wrote for some questions.

    Attributes:
        asked: number of questions.
        pairs: those that could be read.
        dropped: number of completions and pairs that cannot be used, by reason.
        example: the first text that cannot be used, or None.
    """

    asked: int
    pairs: list[Row]
    dropped: Counter[str]
    example: str | None

    @property
    def usable(self) -> int:
        """The number of pairs that can be used."""
        return self.asked - self.dropped.total()

    def reasons(self) -> str:
        """Return the number of pairs that cannot be used by reason: "3 no_critique, 1 cut_off"."""
        return ", ".join(f"{count} {reason}" for reason, count in self.dropped.most_common())

    def text(self) -> str:
        """Return the report for the log."""
        copies = sum(map(is_identity, self.pairs))
        return (
            f"{len(self.pairs)} of the first {self.asked} completions are pairs, and {self.usable} "
            f"can be used (dropped: {self.reasons() or 'none'}). {copies} corrections equal their "
            f"response. Mean length: {mean_words(self.pairs, 'response')} words of a response, "
            f"{mean_words(self.pairs, 'aligned_response')} of a correction"
        )


def mean_words(pairs: Sequence[Row], name: str) -> str:
    """Return the mean number of words of a field, or a dash without pairs."""
    return f"{mean(len(pair[name].split()) for pair in pairs):.1f}" if pairs else "–"


def report_on(first: Iterable[Filtered], usable: Callable[[Row], Filtered]) -> Report:
    """Return the report on pairs as `pairs.read_pair` returns them.

    A pair that will be filtered out cannot be used either: `usable` returns it with the reason.
    """
    asked, pairs, dropped, example = 0, [], Counter[str](), None
    for row, reason in first:
        asked += 1
        text = row.get("completion")
        if reason is None:
            pairs.append(row)
            text = f"Critique: {row['critique']} Correction: {row['aligned_response']}"
            _, reason = usable(row)
        if reason is not None:
            dropped[reason] += 1
            example = example or text
    return Report(asked, pairs, dropped, example)


def ask_first(
    generator: Generator,
    questions: Sequence[Row],
    request_for: Callable[[Row], Request],
    decoding: Decoding,
    description: str,
) -> list[tuple[Row, Completion | Failure]]:
    """Return the completions of a job's first questions, before the job asks for all.

    They are in the ledger afterwards. The job counts their usage, asks again for those that failed,
    and decides whether it needs them: so another generator asks here.
    """
    first = Generator(generator.llm, generator.output)
    first.recipe = first.recipe.model_copy(update={"require_all": False})
    first.engine = generator.engine
    name = description if len(questions) <= FIRST else f"{description}, the first {FIRST}"
    results = list(first.complete(questions[:FIRST], request_for, decoding, name))
    generator.engine = first.engine
    return results


def check_teacher(
    task: Task, generator: Generator, first: Sequence[Filtered], left: int, description: str
) -> None:
    """Log the report on the first pairs of a job, and check that enough of them can be used.

    Args:
        task: with `pairs.least_usable`.
        generator: has asked the teacher.
        first: the first pairs.
        left: number of questions that have not been asked.
        description: names the questions in the log.

    Raises:
        UserError: too few can be used.
    """
    usable = partial(
        filter_pair,
        language=task.synthesis.cleaning.language,
        replaced=Counter(),
        languages=task.languages,
        reader=critique_reader(load_principles(task.criterion), task.languages),
    )
    report = report_on(first, usable)
    if not report.asked:
        return
    logger.info("%s: %s", description, report.text())
    least = task.synthesis.pairs.least_usable
    if report.asked < FEWEST or report.usable / report.asked >= least:
        return
    example = shorten(report.example or "(empty)", SHOWN_CHARACTERS, placeholder=" ...")
    asked = f"the other {left} questions were not asked" if left else "no question is left"
    raise UserError(
        f"{generator.output}: only {report.usable} of the first {report.asked} pairs of the "
        f"teacher {generator.llm} can be used ({report.reasons()}), and pairs.least_usable in "
        f"{recipe_path(SynthesisRecipe, task.name)} is {percent(least)}. The first text that "
        f"cannot be used is: {example!r}. The completions are kept in {generator.ledger.path}, and "
        f"{asked}. Use another teacher, or correct its recipe (chat, max_new_tokens, "
        "structured_output) or the criterion's demonstrations; with least_usable: 0, no job stops"
    )
