"""All comparisons of one data set and base LLM, given to a judge at once."""

from collections.abc import Callable, Sequence
from pathlib import Path

from aligners.alpaca_eval_files import final_answers
from aligners.comparison_files import read_pairs
from aligners.judged_pairs import Shown, Verdicts, to_judge, verdict_row
from aligners.rows import read_rows, write_rows
from aligners.thresholds import pairs_on_the_way


def judge_files(
    judge: Callable[[list[Shown]], Verdicts],
    *,
    inputs: Path,
    responses: Path,
    model_outputs: Sequence[Path],
    reference_outputs: Sequence[Path],
    verdicts: Sequence[Path],
    squads: Sequence[Path],
    turns: Sequence[Path],
) -> None:
    """Write the verdicts on every comparison, and on what the squads wrote on the way.

    Args:
        judge: returns the verdicts on pairs as they are to be shown.
        inputs: rows of the data set.
        responses: the base LLM's answers.
        model_outputs, reference_outputs: the AlpacaEval files of the comparisons.
        verdicts: a file to write for each comparison.
        squads: answers of squads with their traces.
        turns: a file to write for each squad: verdicts on the answers between its first and its
            last, against the base answers; `turns` counts those that led to an answer.

    Raises:
        UserError: files of a comparison do not fit together, or the judge cannot be used.
    """
    questions = read_rows(inputs)
    base_answers = final_answers(read_rows(responses))
    comparisons = [
        read_pairs(model, reference, questions, base_answers)
        for model, reference in zip(model_outputs, reference_outputs, strict=True)
    ]
    # All comparisons of a data set have the same questions.
    sampled = {pair.input["id"]: pair.input for pairs in comparisons for pair in pairs}
    on_the_way = [list(pairs_on_the_way(read_rows(path), sampled)) for path in squads]
    pairs = [pair for pairs in comparisons for pair in pairs]
    pairs += [pair for squad in on_the_way for _, pair in squad]
    said = judge(to_judge(pairs))
    for path, compared in zip(verdicts, comparisons, strict=True):
        write_rows(path, [verdict_row(pair, said) for pair in compared])
    for path, squad in zip(turns, on_the_way, strict=True):
        write_rows(path, [{**verdict_row(pair, said), "turns": count} for count, pair in squad])
