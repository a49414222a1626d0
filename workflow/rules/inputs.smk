"""Test inputs: held-out synthetic questions, and data sets from the Hub or a file.

Reads:  config/datasets/{dataset}.yaml; results/synthetic/{criterion}/split.jsonl
Writes: results/inputs/{dataset}.jsonl
Target: results/inputs/{dataset}.jsonl
"""


rule sample_inputs:
    input:
        splits=EXPERIMENT.files(results.SPLIT),
    output:
        **outputs_beside(results.INPUTS),
        inputs=results.INPUTS,
    log:
        log_of("sample_inputs/{dataset}"),
    benchmark:
        benchmark_of("sample_inputs/{dataset}")
    wildcard_constraints:
        dataset=one_of(SYNTHETIC_DATASETS),
    localrule: True
    conda:
        DATA
    params:
        **program(
            "sample_inputs",
            "dataset",
            "synthesis.cleaning",
            "inputs_per_criterion",
            "seed",
            "criteria",
            languages=languages_of_all,
        ),
    message:
        "Test inputs: {wildcards.dataset}"
    shell:
        "exec {params.command:q} --dataset {wildcards.dataset:q} --criteria {params.criteria:q}"
        " --splits {input.splits:q} --synthesis {params.synthesis:q}"
        " --rows {params.inputs_per_criterion:q} --seed {params.seed:q}"
        " --output {output.inputs:q} 2> {log:q}"


rule import_inputs:
    input:
        splits=EXPERIMENT.files(results.SPLIT),
    output:
        **outputs_beside(results.INPUTS),
        inputs=results.INPUTS,
    log:
        log_of("import_inputs/{dataset}"),
    benchmark:
        benchmark_of("import_inputs/{dataset}")
    wildcard_constraints:
        dataset=one_of(IMPORTED_DATASETS),
    localrule: True
    conda:
        DATA
    params:
        **program("import_inputs", "dataset", "synthesis.split"),
    message:
        "Test inputs: {wildcards.dataset}"
    shell:
        "exec {params.command:q} --dataset {wildcards.dataset:q} --splits {input.splits:q}"
        " --synthesis {params.synthesis:q} --output {output.inputs:q} 2> {log:q}"
