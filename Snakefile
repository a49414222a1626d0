"""Aligners: from topics to AlpacaEval files and their evaluation. This file includes all rules."""

from snakemake.utils import min_version

min_version("9.27")


include: "workflow/rules/library.smk"


configfile: OWN_CONFIG if os.path.exists(OWN_CONFIG) else workflow.source_path(OWN_CONFIG)


rule all:
    input:
        "results/alpaca_eval/all",


include: "workflow/rules/common.smk"
include: "workflow/rules/execution.smk"
include: "workflow/rules/wildcards.smk"
include: "workflow/rules/hub.smk"
include: "workflow/rules/judges.smk"
include: "workflow/rules/models.smk"
include: "workflow/rules/topics.smk"
include: "workflow/rules/questions.smk"
include: "workflow/rules/own_data.smk"
include: "workflow/rules/pairs.smk"
include: "workflow/rules/split.smk"
include: "workflow/rules/training_sets.smk"
include: "workflow/rules/inspectors.smk"
include: "workflow/rules/aligners.smk"
include: "workflow/rules/cards.smk"
include: "workflow/rules/squads.smk"
include: "workflow/rules/inputs.smk"
include: "workflow/rules/responses.smk"
include: "workflow/rules/aligned.smk"
include: "workflow/rules/external.smk"
include: "workflow/rules/alpaca_eval.smk"
include: "workflow/rules/judged.smk"
include: "workflow/rules/tables.smk"
include: "workflow/rules/reproduction.smk"
include: "workflow/rules/closed_world.smk"
include: "workflow/rules/exact_rules.smk"
include: "workflow/rules/stages.smk"
include: "workflow/rules/report.smk"


onstart:
    try:
        check_cluster()
        check_models()
        check_judges()
        record_experiment(config["name"])
    except UserError as error:
        raise WorkflowError(str(error))
    end_jobs_on_sigterm()


onerror:
    report_failures()
