"""Judges: the files of all comparisons, and the check that no judge has changed."""

from aligners.judging.record import check_judge, judge_identity


def comparison_files(pattern, **names):
    """Return the files of a pattern for all comparisons of a data set and LLM by a judge."""
    wildcards = {field: ["{" + field + "}"] for field in ("judge", "dataset", "llm")}
    return EXPERIMENT.files(pattern, **{**wildcards, **names})


def deciding_judge(wildcards):
    """Return the settings that decide a judge's verdicts."""
    return judge_identity(wildcards.judge)


def deciding_judges(wildcards):
    """Return the settings that decide the verdicts of all judges, by judge."""
    return {judge: judge_identity(judge) for judge in config["judges"]}


def check_judges():
    """Raise UserError before the first job if a judge has changed since its first verdicts."""
    for job in workflow.dag.needrun_jobs():
        if {"judge", "llm"} <= set(job.wildcards.keys()):
            check_judge(job.wildcards.judge)
