"""Squads: directories with all that a squad needs, for the workflow, `aligners correct` and a server.

Reads:  models of aligners and inspectors; results/synthetic/familiar_questions.safetensors; test sets
Writes: results/squads/{backbone}/{system}/: squad.json, the models, README.md
Target: results/squads/all
"""


rule assemble_squad:
    input:
        aligners=squad_models,
        inspectors=squad_inspectors,
        familiar_questions=rules.embed_questions.output.familiar_questions,
        tests=EXPERIMENT.files(results.TRAINING_SET, kind=["inspector"], side=["test"]),
        fetched=fetched("encoders", "encoder"),
    output:
        squad=directory(results.SQUAD),
    log:
        log_of("assemble_squad/{backbone}/{system}"),
    benchmark:
        benchmark_of("assemble_squad/{backbone}/{system}")
    conda:
        MODELS
    params:
        **program(
            "assemble_squad",
            "backbone.inference",
            "criteria",
            "squad_margin",
            "encoder",
            "seed",
            principles=principles_of_all,
            languages=languages_of_all,
        ),
        recipe=recipe_name("backbone"),
        inspector=INSPECTOR,
    message:
        "Squad of {wildcards.backbone}: {wildcards.system}"
    shell:
        "exec {params.command:q} --system {wildcards.system:q} --criteria {params.criteria:q}"
        " --backbone {params.recipe:q} --inspector {params.inspector:q}"
        " --aligners {input.aligners:q} --inspectors {input.inspectors:q}"
        " --familiar-questions {input.familiar_questions:q} --encoder {params.encoder:q}"
        " --margin {params.squad_margin:q} --tests {input.tests:q} --seed {params.seed:q}"
        " --output {output.squad:q} 2> {log:q}"
