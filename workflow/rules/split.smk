"""The split of the questions into train, validation and test, which all later stages use.

Reads:  results/synthetic/{criterion}/questions.jsonl; the splits of the criteria before it
Writes: results/synthetic/{criterion}/split.jsonl
Target: results/synthetic/{criterion}/split.jsonl
"""


rule split_questions:
    input:
        questions=rules.generate_questions.output.questions,
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
