"""Scores by the exact rules of the policies, for criteria that have one.

Reads:  results/responses/, aligned/, external/
Writes: results/exact_rules/scorecard.json, scorecard.md
Target: results/exact_rules/scorecard.md
"""


rule score_exact_rules:
    input:
        responses=EXPERIMENT.files(results.RESPONSES),
        aligned=EXPERIMENT.files(results.ALIGNED, backbone=SCORED_BACKBONES),
        external=EXPERIMENT.files(results.EXTERNAL),
        fetched=fetched("encoders", "encoder"),
    output:
        scorecard=results.RULE_SCORECARD,
        table=results.RULE_TABLE,
    log:
        log_of("score_exact_rules"),
    benchmark:
        benchmark_of("score_exact_rules")
    conda:
        MODELS
    params:
        **program("score_exact_rules", "criteria", "encoder", partners=partners),
        inspector=SCORED_INSPECTORS[0],
        backbone=SCORED_BACKBONES[0],
        systems=EXPERIMENT.systems,
        llms=EXPERIMENT.names["llm"],
        datasets=config["datasets"],
        external=config["external"],
    message:
        "Scorecard by exact rules"
    shell:
        "exec {params.command:q} --criteria {params.criteria:q}"
        " --inspector {params.inspector:q} --backbone {params.backbone:q}"
        " --datasets {params.datasets:q} --llms {params.llms:q} --systems {params.systems:q}"
        " --external {params.external:q} --encoder {params.encoder:q}"
        " --output {output.scorecard:q} --table {output.table:q} 2> {log:q}"
