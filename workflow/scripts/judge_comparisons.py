"""Have a judge compare all systems with their references, for one data set and base LLM."""

from pathlib import Path

from aligners.core.program import run
from aligners.core.rows import read_rows, write_json
from aligners.judging.judge import load_judge
from aligners.judging.record import check_judge, record_judge
from aligners.judging.verdict_files import judge_files, read_comparisons


def main(
    *,
    judge: str,
    inputs: Path,
    responses: Path,
    model_outputs: list[Path],
    reference_outputs: list[Path],
    squads: list[Path],
    verdicts: list[Path],
    turns: list[Path],
    usage: Path,
) -> None:
    """Write the verdicts on each comparison to `verdicts`, and what they took to `usage`.

    `turns` has the verdicts on what each squad wrote on the way (see judge_files). A verdict that
    an LLM has given before is not asked for again.
    """
    check_judge(judge)
    loaded = load_judge(judge, usage)
    pairs = read_comparisons(read_rows(inputs), responses, model_outputs, reference_outputs)
    judge_files(
        loaded.judge,
        dict(zip(verdicts, pairs, strict=True)),
        {path: read_rows(squad) for path, squad in zip(turns, squads, strict=True)},
    )
    record_judge(judge, usage, loaded.served_models)
    write_json(usage, loaded.usage.summary())


if __name__ == "__main__":
    run(main)
