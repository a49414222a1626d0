"""Who judges what: names, files of all comparisons, and whether a judge has changed."""

from aligners.judging.record import check_judge, judge_identity

JUDGES = config["judges"]
# Where there is a squad, what it would have done at lower thresholds follows from its turns.
TRACED = config["backbones"] if "squad" in SYSTEMS else []

STAGES["judged"] = [
    "results/judged/{judge}/{dataset}/{base_llm}/{backbone}/{system}/{reference}/verdicts.jsonl",
    "results/judged/{judge}/{dataset}/{base_llm}/{backbone}/{system}/{reference}/comparison.json",
    "results/judged/{judge}/{dataset}/{base_llm}/paired_tests.json",
]
if TRACED:
    STAGES["judged"].append("results/judged/{judge}/{dataset}/{base_llm}/{backbone}/thresholds.csv")


wildcard_constraints:
    judge=one_of(JUDGES),


def compared(name):
    """Return a file of every comparison of a data set and LLM, by the pattern of its path."""
    return expand(
        name,
        backbone=config["backbones"],
        system=SYSTEMS,
        reference=REFERENCES,
        allow_missing=True,
    )


def identity(wildcards):
    """Return what decides a judge's verdicts."""
    return judge_identity(wildcards.judge)


def check_judges():
    """Refuse, before the first job, judges that have changed since their first verdicts."""
    for job in workflow.dag.needrun_jobs():
        if job.rule.name in ("judge_comparisons", "judge_reproduction"):
            check_judge(job.wildcards.judge)


def reproduced(name):
    """Return a file of the paper's squad against every reference, by the pattern of its path."""
    return expand(name, backbone=config["backbones"], reference=REFERENCES, allow_missing=True)
