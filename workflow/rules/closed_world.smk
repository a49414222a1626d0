"""The scorecard of the closed world, in which the true answers are known.

Reads:  results/synthetic/, inspectors/, inputs/, responses/, aligned/, external/
Writes: results/closed_world/scorecard.json
Target: results/closed_world/scorecard.json
"""

# The first inspector and the first backbone are scored.
SCORED_INSPECTORS = names_with_seeds([INSPECTOR], SEEDS)
SCORED_BACKBONES = names_with_seeds(config["backbones"][:1], SEEDS)


rule score_closed_world:
    input:
        pairs=EXPERIMENT.files(results.PAIRS),
        filtered=EXPERIMENT.files(results.FILTERED_PAIRS),
        splits=EXPERIMENT.files(results.SPLIT),
        inspectors=EXPERIMENT.files(results.INSPECTOR_METRICS, inspector=SCORED_INSPECTORS),
        responses=EXPERIMENT.files(results.RESPONSES),
        aligned=EXPERIMENT.files(results.ALIGNED, backbone=SCORED_BACKBONES),
        external=EXPERIMENT.files(results.EXTERNAL),
    output:
        scorecard=results.SCORECARD,
    log:
        log_of("score_closed_world"),
    benchmark:
        benchmark_of("score_closed_world")
    localrule: True
    conda:
        DATA
    params:
        **program("score_closed_world", "criteria", "teacher", "seeds", partners=partners),
        inspector=SCORED_INSPECTORS[0],
        backbone=SCORED_BACKBONES[0],
        systems=EXPERIMENT.systems,
        llms=EXPERIMENT.names["llm"],
        datasets=config["datasets"],
        external=config["external"],
    message:
        "Scorecard of the closed world"
    shell:
        "exec {params.command:q} --criteria {params.criteria:q}"
        " --inspector {params.inspector:q} --backbone {params.backbone:q}"
        " --datasets {params.datasets:q} --llms {params.llms:q} --systems {params.systems:q}"
        " --external {params.external:q} --teacher {params.teacher:q} --seeds {params.seeds:q}"
        " --output {output.scorecard:q} 2> {log:q}"
