"""The split of the questions into train, validation and test, which all later stages use.

Reads:  results/synthetic/{criterion}/questions.jsonl, own_data.jsonl; the splits of the criteria before it
Writes: results/synthetic/{criterion}/split.jsonl, and familiar_questions.safetensors of all splits
Target: results/synthetic/{criterion}/split.jsonl
"""


rule split_questions:
    input:
        questions=criterion_questions,
        earlier=earlier_splits,
    output:
        **outputs_beside(results.SPLIT),
        split=results.SPLIT,
    log:
        log_of("split_questions/{criterion}"),
    benchmark:
        benchmark_of("split_questions/{criterion}")
    localrule: True
    conda:
        DATA
    params:
        **program("split_questions", "synthesis.split", "split"),
        shares=[config["split"][side] for side in ("train", "validation", "test")],
    message:
        "Split of the questions: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --questions {input.questions:q} --earlier {input.earlier:q}"
        " --synthesis {params.synthesis:q} --shares {params.shares:q}"
        " --output {output.split:q} 2> {log:q}"


rule embed_questions:
    input:
        splits=EXPERIMENT.files(results.SPLIT),
        fetched=fetched("encoders", "encoder"),
    output:
        familiar_questions=results.FAMILIAR_QUESTIONS,
    log:
        log_of("embed_questions"),
    benchmark:
        benchmark_of("embed_questions")
    conda:
        MODELS
    params:
        **program("embed_questions", "encoder", "familiar_share", "seed"),
    message:
        "Embeddings of the training questions"
    shell:
        "exec {params.command:q} --splits {input.splits:q} --encoder {params.encoder:q}"
        " --familiar-share {params.familiar_share:q} --seed {params.seed:q}"
        " --output {output.familiar_questions:q} 2> {log:q}"
