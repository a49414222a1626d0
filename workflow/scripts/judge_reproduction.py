"""Have a judge compare as the paper did: first sentences, four categories, the paper's squad."""

from dataclasses import replace
from pathlib import Path

from aligners.core.program import run
from aligners.core.rows import by_id, read_rows, write_json
from aligners.judging.judge import load_judge
from aligners.judging.record import check_judge, record_judge
from aligners.judging.verdict_files import judge_files, read_comparisons
from aligners.statistics.reproduction import first_sentence, protocol_rows


def main(
    *,
    judge: str,
    dataset: str,
    inputs: Path,
    responses: Path,
    model_outputs: list[Path],
    reference_outputs: list[Path],
    verdicts: list[Path],
    usage: Path,
) -> None:
    """Write the verdicts on each comparison to `verdicts`, and what they took to `usage`.

    Whether an answer is `unchanged` is told from the whole answers.
    """
    check_judge(judge)
    questions = read_rows(inputs)
    chosen = by_id(protocol_rows(questions, dataset))
    loaded = load_judge(judge, usage)
    comparisons = [
        [
            replace(
                pair,
                output=first_sentence(pair.output),
                reference_output=first_sentence(pair.reference_output),
            )
            for pair in pairs
            if pair.input["id"] in chosen
        ]
        for pairs in read_comparisons(questions, responses, model_outputs, reference_outputs)
    ]
    judge_files(loaded.judge, dict(zip(verdicts, comparisons, strict=True)), {})
    record_judge(judge, usage, loaded.served_models)
    write_json(usage, loaded.usage.summary())


if __name__ == "__main__":
    run(main)
