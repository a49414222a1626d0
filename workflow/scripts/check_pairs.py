"""Let the judges compare the corrections of a criterion's pairs with the responses."""

from pathlib import Path

from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.core.rows import iterate_rows, write_json
from aligners.judging.judge import load_judge
from aligners.judging.pairs_check import check_pairs, sample_corrected


def main(*, judges: list[str], pairs: Path, seed: int, output: Path) -> None:
    """Write how often each judge prefers the correction, and each judge's usage beside it.

    Raises:
        UserError: there is no judge, no correction differs from its response, or a judge cannot be
            used.
    """
    if not judges:
        raise UserError("judges: the configuration has none; add a judge to check pairs with")
    rows = iterate_rows(pairs, needs=("id", "question", "response", "aligned_response"))
    sample = sample_corrected(rows, seed)
    if not sample:
        raise UserError(
            f"{pairs}: no correction differs from its response, so there is nothing to check; "
            "check the teacher and the demonstrations"
        )
    checked = {}
    for name in judges:
        usage = output.with_suffix(f".{name}.usage.json")
        judge = load_judge(name, usage)
        checked[name] = check_pairs(judge, sample)
        write_json(usage, judge.usage.summary())
    write_json(output, {"pairs": len(sample), "judges": checked})


if __name__ == "__main__":
    run(main)
