"""Aligners: from topics to AlpacaEval files and their evaluation. This file is the table of contents."""

from snakemake.utils import min_version

min_version("9.27")


configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/execution.smk"
include: "workflow/rules/hub.smk"
include: "workflow/rules/judges.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/topics.smk"
include: "workflow/rules/questions.smk"
include: "workflow/rules/pairs.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/training_sets.smk"
include: "workflow/rules/inspectors.smk"
include: "workflow/rules/aligners.smk"
include: "workflow/rules/cards.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/responses.smk"
include: "workflow/rules/aligned.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/alpaca_eval.smk"
include: "workflow/rules/judged.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/reproduction.smk"
include: "workflow/rules/closed_world.smk"
include: "workflow/rules/stages.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "results/alpaca_eval/all",


# Jobs of seconds, without a model: on a cluster they run on the submitting machine, without a queue.
localrules:
    all,
    fetch_model,
    deduplicate_topics,
    gather_pairs,
    split_questions,
    filter_pairs,
    build_aligner_set,
    build_inspector_set,
    write_model_card,
    sample_inputs,
    import_inputs,
    gather_responses,
    write_alpaca_eval,
    compare_systems,
    trace_thresholds,
    write_tables,
    compare_with_reported,
    list_stage,
    score_closed_world,
    draw_figures,
    write_report,


onstart:
    try:
        check_cluster()
        check_models()
        check_judges()
        record_experiment(config["name"])
    except UserError as error:
        raise WorkflowError(str(error))
