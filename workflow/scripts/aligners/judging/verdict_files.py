"""All comparisons of one data set and base LLM: read, judged together, and written."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aligners.configuration import results
from aligners.core.rows import Row, read_rows, write_rows
from aligners.evaluation.alpaca_eval_files import final_answers
from aligners.judging.comparison_files import Pair, read_pairs
from aligners.judging.judged_pairs import Shown, Verdicts, to_judge, verdict_row
from aligners.judging.thresholds import pairs_on_the_way

AskJudge = Callable[[list[Shown]], Verdicts]


def read_comparisons(comparisons: Sequence[Mapping[str, str]]) -> list[list[Pair]]:
    """Return the pairs of each comparison.

    Args:
        comparisons: the names in the paths of each; all have the same data set and base LLM.

    Raises:
        UserError: files of a comparison do not fit together.
    """
    if not comparisons:
        return []
    inputs = read_rows(results.INPUTS.path(**comparisons[0]))
    base_responses = final_answers(read_rows(results.RESPONSES.path(**comparisons[0])))
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
    comparisons: Mapping[Path, Sequence[Pair]],
    squads: Mapping[Path, Sequence[Row]],
) -> None:
    """Have a judge compare, and write its verdicts.

    Args:
        ask: returns the judge's verdicts on texts in the order in which they are shown.
        comparisons: pairs of responses by the file for their verdicts.
        squads: a squad's rows with their traces, by the file for the verdicts on the corrections
            between the response and the last correction. They are compared with the response;
            `turns` counts the accepted turns that led to the correction.

    Raises:
        UserError: the judge cannot be used.
    """
    # All comparisons of a data set have the same questions.
    sampled = {pair.input["id"]: pair.input for pairs in comparisons.values() for pair in pairs}
    on_the_way = {path: list(pairs_on_the_way(rows, sampled)) for path, rows in squads.items()}
    pairs = [pair for compared in comparisons.values() for pair in compared]
    pairs += [pair for squad in on_the_way.values() for _, pair in squad]
    verdicts = ask(to_judge(pairs))
    for path, compared in comparisons.items():
        write_rows(path, [verdict_row(pair, verdicts) for pair in compared])
    for path, squad in on_the_way.items():
        write_rows(path, [{**verdict_row(pair, verdicts), "turns": turns} for turns, pair in squad])
