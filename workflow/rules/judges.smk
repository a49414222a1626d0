"""Who judges what: files of all comparisons, and whether a judge has changed."""

from aligners.judging.record import check_judge, judge_identity


def compared(pattern, **names):
    """Return a file of every comparison of a data set and LLM, by the pattern of its path."""
    every = {field: ["{" + field + "}"] for field in ("judge", "dataset", "llm")}
    return EXPERIMENT.files(pattern, **{**every, **names})


def deciding_judge(wildcards):
    """Return what decides a judge's verdicts."""
    return judge_identity(wildcards.judge)


def check_judges():
    """Refuse, before the first job, judges that have changed since their first verdicts."""
    for job in workflow.dag.needrun_jobs():
        if {"judge", "llm"} <= set(job.wildcards.keys()):
            check_judge(job.wildcards.judge)
