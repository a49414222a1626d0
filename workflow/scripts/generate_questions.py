"""Write questions for the topics of a criterion."""

from pathlib import Path

import pandas as pd

from aligners.counts import Sieve, write_sieve
from aligners.criteria import load_question_types
from aligners.engines import Decoding, Request
from aligners.generation import Generator, llm_prompt
from aligners.program import run
from aligners.questions import (
    Hint,
    choose_seed_questions,
    deduplicate_questions,
    make_hints,
    parse_questions,
    question_reason,
    question_row,
    questions_prompt,
)
from aligners.recipes import load_recipe
from aligners.rows import atomic_path, read_rows


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
    """Write questions to `output` and `table`, counts and dropped lines beside `output`.

    A hint whose line is missing or no question is asked again, up to a number of attempts.
    """
    settings = load_recipe("synthesis", synthesis)["questions"]
    seeds = load_question_types(criterion)
    generator = Generator(teacher, output)
    first = settings["examples_per_prompt"] + 1
    pending = make_hints(read_rows(topics), questions)
    sieve = Sieve()
    for attempt in range(settings["attempts"]):
        size = settings["hints_per_prompt"]
        groups = [pending[start : start + size] for start in range(0, len(pending), size)]
        requests = [
            Request(
                f"{attempt}/{number}",
                llm_prompt(
                    generator.recipe,
                    questions_prompt(
                        choose_seed_questions(
                            seeds, settings["examples_per_prompt"], seed, attempt, number
                        ),
                        hints,
                    ),
                ),
            )
            for number, hints in enumerate(groups)
        ]
        decoding = Decoding(
            max_new_tokens=settings["max_new_tokens"],
            temperature=settings["temperature"],
            seed=seed + attempt,
        )
        completions = generator.complete(
            requests, decoding, f"{criterion} questions, attempt {attempt + 1}"
        )
        unanswered: list[Hint] = []
        for request, hints in zip(requests, groups, strict=True):
            completion = completions[request.id]
            lines = parse_questions(completion.text, first, completion.finish == "stop")
            for number, hint in enumerate(hints, start=first):
                if number not in lines:
                    unanswered.append(hint)
                    continue
                reason = question_reason(lines[number])
                sieve.put(question_row(criterion, hint, lines[number]), reason)
                if reason:
                    unanswered.append(hint)
        pending = unanswered
    for hint in pending:
        sieve.drop(question_row(criterion, hint, ""), "no_line")
    distinct = deduplicate_questions(sieve.kept, **settings["near_duplicates"])
    distinct.dropped = sieve.dropped + distinct.dropped
    write_sieve(distinct, output)
    with atomic_path(table) as partial:
        columns = ["question", "topic", "question_type"]
        pd.DataFrame(distinct.kept, columns=columns).to_csv(partial, index=False)


if __name__ == "__main__":
    run(main)
