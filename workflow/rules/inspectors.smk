"""Inspectors: classifiers that score whether a response is aligned, one per criterion.

Reads:  results/synthetic/{criterion}/inspector/; config/inspectors/{inspector}.yaml
Writes: results/inspectors/{inspector}/{criterion}/model/, metrics.json, test_scores.jsonl, losses.png
Target: results/inspectors/all
"""


rule train_inspector:
    input:
        train=rules.build_inspector_set.output.train,
        validation=rules.build_inspector_set.output.validation,
        test=rules.build_inspector_set.output.test,
        fetched=fetched("inspectors", "inspector"),
    output:
        model=directory(results.INSPECTOR),
        metrics=results.INSPECTOR_METRICS,
        test_scores=results.INSPECTOR_SCORES,
        losses=results.INSPECTOR_LOSSES,
    log:
        log_of("train_inspector/{inspector}/{criterion}"),
    benchmark:
        benchmark_of("train_inspector/{inspector}/{criterion}")
    conda:
        MODELS
    params:
        **program(
            "train_inspector",
            "inspector",
            seed=training_seed("inspector"),
            command=training_command("train_inspector", "inspector"),
        ),
        recipe=recipe_name("inspector"),
        seed=training_seed("inspector"),
    message:
        "Training inspector {wildcards.inspector}: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --inspector {params.recipe:q} --train {input.train:q}"
        " --validation {input.validation:q} --test {input.test:q} --seed {params.seed:q}"
        " --fingerprint {params.fingerprint:q} --model {output.model:q}"
        " --metrics {output.metrics:q} --test-scores {output.test_scores:q}"
        " --losses {output.losses:q} 2> {log:q}"
