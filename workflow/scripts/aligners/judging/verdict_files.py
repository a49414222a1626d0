"""Reads all comparisons of one data set and base LLM, and writes a judge's verdicts on them."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aligners.configuration import results
from aligners.core.rows import Row, iterate_rows, read_rows, write_rows
from aligners.judging.comparison_files import TextPair, read_pairs
from aligners.judging.judged_pairs import ShownTexts, Verdicts, texts_to_judge, verdict_row
from aligners.judging.thresholds import intermediate_pairs

AskJudge = Callable[[list[ShownTexts]], Verdicts]


def read_comparisons(comparisons: Sequence[Mapping[str, str]]) -> list[list[TextPair]]:
    """Return the pairs of each comparison.

    Args:
        comparisons: the names in the paths of each; all have the same data set and base LLM.

    Raises:
        UserError: the files of a comparison do not have the same instructions, or are damaged.
    """
    if not comparisons:
        return []
    inputs = read_rows(
        results.INPUTS.path(**comparisons[0]), needs=("id", "question", "category", "category_id")
    )
    responses = iterate_rows(results.RESPONSES.path(**comparisons[0]), needs=("id", "response"))
    base_responses = {row["id"]: row["response"] for row in responses}
    return [
        read_pairs(
            results.MODEL_OUTPUTS.path(**names),
            results.REFERENCE_OUTPUTS.path(**names),
            inputs,
            base_responses,
        )
        for names in comparisons
    ]


def judge_files(
    ask: AskJudge,
    comparisons: Mapping[Path, Sequence[TextPair]],
    squads: Mapping[Path, Sequence[Row]],
) -> None:
    """Let a judge compare all pairs, and write its verdicts.

    Args:
        ask: returns the judge's verdicts on texts, given in the order in which they are shown.
        comparisons: pairs of texts, by the file for their verdicts.
        squads: a squad's rows with their traces, by the file for the verdicts on intermediate
            corrections. These are compared with the response; the field `turns` is the number of
            accepted turns that led to the correction.

    Raises:
        UserError: the judge cannot be used.
    """
    # All comparisons of a data set have the same questions.
    inputs = {pair.input["id"]: pair.input for pairs in comparisons.values() for pair in pairs}
    intermediate = {path: list(intermediate_pairs(rows, inputs)) for path, rows in squads.items()}
    all_pairs = [pair for pairs in comparisons.values() for pair in pairs]
    all_pairs += [pair for numbered in intermediate.values() for _, pair in numbered]
    verdicts = ask(texts_to_judge(all_pairs))
    for path, pairs in comparisons.items():
        write_rows(path, [verdict_row(pair, verdicts) for pair in pairs])
    for path, numbered in intermediate.items():
        rows = [{**verdict_row(pair, verdicts), "turns": turns} for turns, pair in numbered]
        write_rows(path, rows)
