"""Aligners: small language models that correct a response, one per backbone and criterion.

The conditioned aligner, which reads the principles of a criterion as text, is trained on the rows
of all criteria. So is an external aligner that the workflow trains.

Reads:  results/synthetic/{criterion}/aligner/; config/backbones/{backbone}.yaml
Writes: results/aligners/{backbone}/{aligner}/model/, metrics.json, losses.png
Target: results/aligners/all
"""


rule train_aligner:
    input:
        train=training_rows("train"),
        validation=training_rows("validation"),
        fetched=fetched("backbones", "backbone"),
    output:
        model=directory(results.ALIGNER),
        metrics=results.ALIGNER_METRICS,
        losses=results.ALIGNER_LOSSES,
    log:
        log_of("train_aligner/{backbone}/{aligner}"),
    benchmark:
        benchmark_of("train_aligner/{backbone}/{aligner}")
    conda:
        MODELS
    params:
        **program(
            "train_aligner",
            "backbone",
            "aligner_rows",
            seed=training_seed("backbone"),
            principles=principles,
            input_format=input_format,
            command=training_command("train_aligner", "backbone"),
        ),
        recipe=recipe_name("backbone"),
        seed=training_seed("backbone"),
        input_format=input_format,
        criteria=criteria_read,
    message:
        "Training aligner {wildcards.backbone}: {wildcards.aligner}"
    shell:
        "exec {params.command:q} --backbone {params.recipe:q} --train {input.train:q}"
        " --validation {input.validation:q} --rows {params.aligner_rows:q}"
        " --seed {params.seed:q} --fingerprint {params.fingerprint:q}"
        " --input-format={params.input_format:q} --criteria {params.criteria:q}"
        " --model {output.model:q} --metrics {output.metrics:q} --losses {output.losses:q} 2> {log:q}"
