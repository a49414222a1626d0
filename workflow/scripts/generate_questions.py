"""Write questions for the topics of a criterion."""

from pathlib import Path

import pandas as pd

from aligners.configuration.criteria import load_question_types
from aligners.configuration.recipes import load_recipe
from aligners.configuration.schemas import Recipe
from aligners.core.completions import Completion, Request
from aligners.core.counts import Sieve, write_sieve
from aligners.core.program import run
from aligners.core.rows import atomic_path, read_rows
from aligners.llms.generator import Generator, llm_prompt
from aligners.synthesis.questions import (
    Hint,
    choose_seed_questions,
    deduplicate_questions,
    make_hints,
    parse_questions,
    question_reason,
    question_row,
    questions_decoding,
    questions_prompt,
)


def question_requests(
    groups: list[list[Hint]],
    examples: list[list[tuple[str, str, str]]],
    attempt: int,
    llm: Recipe,
) -> list[Request]:
    """Return one request per group of hints, each with its own seed questions as examples."""
    return [
        Request(f"{attempt}/{number}", llm_prompt(llm, questions_prompt(shown, hints)))
        for number, (shown, hints) in enumerate(zip(examples, groups, strict=True))
    ]


def sort_lines(
    criterion: str, hints: list[Hint], lines: list[str | None], sieve: Sieve
) -> list[Hint]:
    """Put the lines that came back into the sieve; return the hints that are left unanswered."""
    unanswered = []
    for hint, line in zip(hints, lines, strict=True):
        reason = question_reason(line) if line else "no_line"
        if line:
            sieve.put(question_row(criterion, hint, line), reason)
        if reason:
            unanswered.append(hint)
    return unanswered


def main(
    *,
    criterion: str,
    teacher: str,
    synthesis: str,
    topics: Path,
    questions: int,
    seed: int,
    output: Path,
    table: Path,
) -> None:
    """Write questions to `output` and `table`; counts, dropped lines and usage beside `output`.

    A hint whose line is missing or no question is asked again, up to a number of attempts.
    """
    settings = load_recipe("synthesis", synthesis)["questions"]
    seeds = load_question_types(criterion)
    generator = Generator(teacher, output)
    pending = make_hints(read_rows(topics), questions)
    sieve = Sieve()
    for attempt in range(settings["attempts"]):
        size = settings["hints_per_prompt"]
        groups = [pending[start : start + size] for start in range(0, len(pending), size)]
        examples = [
            choose_seed_questions(seeds, settings["examples_per_prompt"], seed, attempt, number)
            for number in range(len(groups))
        ]
        requests = question_requests(groups, examples, attempt, generator.recipe)
        completions = generator.complete_all(
            requests,
            questions_decoding(settings, seed + attempt),
            f"{criterion} questions, attempt {attempt + 1}",
        )
        pending = []
        for request, shown, hints in zip(requests, examples, groups, strict=True):
            completion, first = completions[request.id], len(shown) + 1
            found = (
                parse_questions(completion.text, first, completion.finish == "stop")
                if isinstance(completion, Completion)
                else {}
            )
            lines = [found.get(number) for number in range(first, first + len(hints))]
            pending += sort_lines(criterion, hints, lines, sieve)
    for hint in pending:
        sieve.drop(question_row(criterion, hint, ""), "no_line")
    distinct = deduplicate_questions(sieve.kept, **settings["near_duplicates"])
    distinct.dropped = sieve.dropped + distinct.dropped
    write_sieve(distinct, output)
    generator.write_usage()
    with atomic_path(table) as partial:
        columns = ["question", "topic", "question_type"]
        pd.DataFrame(distinct.kept, columns=columns).to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
