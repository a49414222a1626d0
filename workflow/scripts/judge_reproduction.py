"""Compare by a judge as in the paper: first sentences, four categories, the paper's squad."""

from dataclasses import replace

from aligners.configuration import results
from aligners.configuration.systems import SQUAD_PAPER
from aligners.core.program import run
from aligners.core.rows import by_id, read_rows, write_json
from aligners.judging.comparison_files import TextPair
from aligners.judging.judge import load_judge
from aligners.judging.record import check_judge, record_judge
from aligners.judging.verdict_files import judge_files, read_comparisons
from aligners.statistics.reproduction import first_sentence, protocol_rows


def main(*, judge: str, dataset: str, llm: str, names: str) -> None:
    """Write the verdicts on each comparison of the paper's squad, and the usage of the judge.

    Args:
        judge: name of the judge.
        dataset: name of the data set.
        llm: name of the base LLM.
        names: JSON with lists of names: backbone, reference.
    """
    given = results.given_names(
        names, judge=judge, dataset=dataset, llm=llm, system=SQUAD_PAPER.name
    )
    usage = results.REPRODUCTION_USAGE.path(judge=judge, dataset=dataset, llm=llm)
    check_judge(judge)
    inputs = results.INPUTS.path(dataset=dataset)
    chosen = by_id(protocol_rows(read_rows(inputs, needs=("id", "category_id")), dataset))
    loaded = load_judge(judge, usage)
    comparisons = [
        [first_sentences(pair) for pair in pairs if pair.input["id"] in chosen]
        for pairs in read_comparisons(results.REPRODUCED_VERDICTS.combinations(given))
    ]
    verdicts = results.REPRODUCED_VERDICTS.paths(given)
    judge_files(loaded.judge, dict(zip(verdicts, comparisons, strict=True)), {})
    record_judge(judge, usage, loaded.served_models)
    write_json(usage, loaded.usage.summary())


def first_sentences(pair: TextPair) -> TextPair:
    """Return a pair with both texts cut; `unchanged` still describes the whole texts."""
    return replace(
        pair,
        output=first_sentence(pair.output),
        reference_output=first_sentence(pair.reference_output),
    )


if __name__ == "__main__":
    run(main)
