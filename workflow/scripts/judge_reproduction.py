"""Compare by a judge as in the paper: first sentences, four categories, the paper's squad."""

from dataclasses import replace

from aligners.configuration import results
from aligners.configuration.systems import LLM_REFERENCES, SQUAD_PAPER
from aligners.core.program import run
from aligners.core.rows import by_id, read_rows, write_json
from aligners.core.sentences import first_of_correction, first_of_response
from aligners.judging.comparison_files import TextPair
from aligners.judging.judge import load_judge
from aligners.judging.record import check_judge, record_judge
from aligners.judging.verdict_files import judge_files, read_comparisons
from aligners.statistics.reproduction import protocol_rows


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
    compared = results.REPRODUCED_VERDICTS.combinations(given)
    comparisons = [
        [as_in_the_paper(pair, cell["reference"]) for pair in pairs if pair.input["id"] in chosen]
        for cell, pairs in zip(compared, read_comparisons(compared), strict=True)
    ]
    verdicts = results.REPRODUCED_VERDICTS.paths(given)
    judge_files(loaded.judge, dict(zip(verdicts, comparisons, strict=True)), {})
    record_judge(judge, usage, loaded.served_models)
    write_json(usage, loaded.usage.summary())


def as_in_the_paper(pair: TextPair, reference: str) -> TextPair:
    """Return a pair with the texts that the paper compared; `unchanged` describes the whole texts.

    LLMs and the paper's aligners wrote first sentences. Only external aligners wrote whole texts.
    """
    ours = first_of_response if pair.unchanged else first_of_correction
    theirs = pair.reference_output
    if reference in LLM_REFERENCES:
        theirs = first_of_response(theirs)
    return replace(pair, output=ours(pair.output), reference_output=theirs)


if __name__ == "__main__":
    run(main)
