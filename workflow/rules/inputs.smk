"""Test inputs: held-out synthetic questions, and data sets from the Hub or a file.

Reads:  config/datasets/{dataset}.yaml; results/synthetic/{criterion}/split.jsonl
Writes: results/inputs/{dataset}.jsonl
Target: results/inputs/{dataset}.jsonl
"""


rule sample_inputs:
    input:
        questions=expand("results/synthetic/{criterion}/questions.jsonl", criterion=CRITERIA),
        splits=expand("results/synthetic/{criterion}/split.jsonl", criterion=CRITERIA),
    output:
        inputs="results/inputs/{dataset}.jsonl",
        dropped="results/inputs/{dataset}.dropped.jsonl",
        counts="results/inputs/{dataset}.counts.json",
    log:
        "logs/sample_inputs/{dataset}.log",
    benchmark:
        "logs/sample_inputs/{dataset}.benchmark.tsv"
    wildcard_constraints:
        dataset=one_of(SYNTHETIC_DATASETS),
    conda:
        "../../envs/data.yaml"
    params:
        synthesis=config["synthesis"],
        inputs_per_criterion=config["inputs_per_criterion"],
        seed=config["seed"],
        fingerprint=fingerprint(
            "sample_inputs",
            "dataset",
            "synthesis.cleaning",
            "inputs_per_criterion",
            "seed",
        ),
    message:
        "Test inputs: {wildcards.dataset}"
    shell:
        "python workflow/scripts/sample_inputs.py"
        " --dataset {wildcards.dataset:q}"
        " --questions {input.questions:q}"
        " --splits {input.splits:q}"
        " --synthesis {params.synthesis:q}"
        " --rows {params.inputs_per_criterion:q}"
        " --seed {params.seed:q}"
        " --output {output.inputs:q}"
        " 2> {log:q}"


rule import_inputs:
    input:
        splits=expand("results/synthetic/{criterion}/split.jsonl", criterion=CRITERIA),
    output:
        inputs="results/inputs/{dataset}.jsonl",
        dropped="results/inputs/{dataset}.dropped.jsonl",
        counts="results/inputs/{dataset}.counts.json",
    log:
        "logs/import_inputs/{dataset}.log",
    benchmark:
        "logs/import_inputs/{dataset}.benchmark.tsv"
    wildcard_constraints:
        dataset=one_of(IMPORTED_DATASETS),
    conda:
        "../../envs/data.yaml"
    params:
        synthesis=config["synthesis"],
        fingerprint=fingerprint("import_inputs", "dataset", "synthesis.split"),
    message:
        "Test inputs: {wildcards.dataset}"
    shell:
        "python workflow/scripts/import_inputs.py"
        " --dataset {wildcards.dataset:q}"
        " --splits {input.splits:q}"
        " --synthesis {params.synthesis:q}"
        " --output {output.inputs:q}"
        " 2> {log:q}"
