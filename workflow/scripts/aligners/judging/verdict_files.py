"""All comparisons of one data set and base LLM: read, given to a judge at once, and written."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from aligners.core.rows import Row, read_rows, write_rows
from aligners.evaluation.alpaca_eval_files import final_answers
from aligners.judging.comparison_files import Pair, read_pairs
from aligners.judging.judged_pairs import Shown, Verdicts, to_judge, verdict_row
from aligners.judging.thresholds import pairs_on_the_way

AskJudge = Callable[[list[Shown]], Verdicts]


def read_comparisons(
    inputs: Sequence[Row],
    responses: Path,
    model_outputs: Sequence[Path],
    reference_outputs: Sequence[Path],
) -> list[list[Pair]]:
    """Return the pairs of each comparison.

    Args:
        inputs: rows of the data set.
        responses: the base LLM's answers.
        model_outputs, reference_outputs: the AlpacaEval files of the comparisons.

    Raises:
        UserError: files of a comparison do not fit together.
    """
    base_answers = final_answers(read_rows(responses))
    return [
        read_pairs(model, reference, inputs, base_answers)
        for model, reference in zip(model_outputs, reference_outputs, strict=True)
    ]


def judge_files(
    ask: AskJudge,
    comparisons: Mapping[Path, Sequence[Pair]],
    squads: Mapping[Path, Sequence[Row]],
) -> None:
    """Have a judge compare, and write its verdicts.

    Args:
        ask: returns the verdicts on pairs as they are to be shown.
        comparisons: pairs of answers by the file that their verdicts go to.
        squads: answers of a squad with their traces, by the file that the verdicts on the answers
            between its first and its last go to, against the base answers; there, `turns` counts
            those that led to an answer.

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
