"""Compare all systems with their references by a judge, for one data set and base LLM."""

from aligners.configuration import results
from aligners.configuration.systems import SQUAD
from aligners.core.program import run
from aligners.core.rows import write_json
from aligners.judging.judge import load_judge
from aligners.judging.record import check_judge, record_judge
from aligners.judging.thresholds import read_squad
from aligners.judging.verdict_files import judge_files, read_comparisons


def main(*, judge: str, dataset: str, llm: str, names: str) -> None:
    """Write the verdicts on each comparison, and the usage of the judge.

    For the squads of `traced` backbones, the intermediate corrections are judged too (see
    judge_files). If the judge is an LLM, its earlier verdicts are reused.

    Args:
        judge: name of the judge.
        dataset: name of the data set.
        llm: name of the base LLM.
        names: JSON with lists of names: backbone, system, reference, traced.
    """
    given = results.given_names(names, judge=judge, dataset=dataset, llm=llm)
    usage = results.JUDGE_USAGE.path(judge=judge, dataset=dataset, llm=llm)
    check_judge(judge)
    loaded = load_judge(judge, usage)
    turns = results.TURNS.paths(results.spanned(results.TURNS, given))
    squads = results.ALIGNED.fill(system=SQUAD.name)
    judge_files(
        loaded.judge,
        dict(
            zip(
                results.VERDICTS.paths(given),
                read_comparisons(results.VERDICTS.combinations(given)),
                strict=True,
            )
        ),
        {path: read_squad(squads.path(**results.TURNS.names(path))) for path in turns},
    )
    record_judge(judge, usage, loaded.served_models)
    write_json(usage, loaded.usage.summary())


if __name__ == "__main__":
    run(main)
