"""Inspectors: classifiers that score whether an answer is aligned, one per criterion.

Reads:  results/synthetic/{criterion}/inspector/; config/inspectors/{inspector}.yaml
Writes: results/inspectors/{inspector}/{criterion}/model/, metrics.json, test_scores.jsonl, losses.png
Target: results/inspectors/all
"""


rule train_inspector:
    input:
        train="results/synthetic/{criterion}/inspector/train.jsonl",
        validation="results/synthetic/{criterion}/inspector/validation.jsonl",
        test="results/synthetic/{criterion}/inspector/test.jsonl",
        fetched=fetched("inspectors", "inspector"),
    output:
        model=directory("results/inspectors/{inspector}/{criterion}/model"),
        metrics="results/inspectors/{inspector}/{criterion}/metrics.json",
        test_scores="results/inspectors/{inspector}/{criterion}/test_scores.jsonl",
        losses="results/inspectors/{inspector}/{criterion}/losses.png",
    log:
        "logs/train_inspector/{inspector}/{criterion}.log",
    benchmark:
        "logs/train_inspector/{inspector}/{criterion}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        seed=config["seed"],
        fingerprint=fingerprint("train_inspector", "inspector", "seed"),
        launch=launch("inspectors", "inspector"),
    message:
        "Training inspector {wildcards.inspector}: {wildcards.criterion}"
    shell:
        "{params.launch:q} workflow/scripts/train_inspector.py"
        " --inspector {wildcards.inspector:q}"
        " --train {input.train:q}"
        " --validation {input.validation:q}"
        " --test {input.test:q}"
        " --seed {params.seed:q}"
        " --fingerprint {params.fingerprint:q}"
        " --model {output.model:q}"
        " --metrics {output.metrics:q}"
        " --test-scores {output.test_scores:q}"
        " --losses {output.losses:q}"
        " 2> {log:q}"
