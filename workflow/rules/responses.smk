"""Baselines: the answers of the LLMs themselves.

Reads:  results/inputs/{dataset}.jsonl; config/llms/{llm}.yaml
Writes: results/responses/{dataset}/{llm}/{shard}.jsonl, gathered in {llm}.jsonl
Target: results/responses/all
"""


rule generate_responses:
    input:
        inputs="results/inputs/{dataset}.jsonl",
        fetched=fetched("llms", "llm"),
    output:
        responses="results/responses/{dataset}/{llm}/{shard}.jsonl",
        dropped="results/responses/{dataset}/{llm}/{shard}.dropped.jsonl",
        counts="results/responses/{dataset}/{llm}/{shard}.counts.json",
        usage="results/responses/{dataset}/{llm}/{shard}.usage.json",
    log:
        "logs/generate_responses/{dataset}/{llm}/{shard}.log",
    benchmark:
        "logs/generate_responses/{dataset}/{llm}/{shard}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        shards=config["shards"]["responses"],
        seed=config["seed"],
        fingerprint=fingerprint(
            "generate_responses", "llm", "llm.answers", "shards.responses", "seed"
        ),
        lease=lease_gpus,
    message:
        "Answers of {wildcards.llm}: {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "{params.lease:q} python workflow/scripts/generate_responses.py"
        " --llm {wildcards.llm:q}"
        " --inputs {input.inputs:q}"
        " --shard {wildcards.shard:q}"
        " --shards {params.shards:q}"
        " --seed {params.seed:q}"
        " --output {output.responses:q}"
        " 2> {log:q}"


rule gather_responses:
    input:
        inputs="results/inputs/{dataset}.jsonl",
        shards=expand(
            "results/responses/{dataset}/{llm}/{shard}.jsonl",
            shard=range(config["shards"]["responses"]),
            allow_missing=True,
        ),
        beside=expand(
            "results/responses/{dataset}/{llm}/{shard}.{kind}",
            shard=range(config["shards"]["responses"]),
            kind=["dropped.jsonl", "usage.json"],
            allow_missing=True,
        ),
    output:
        responses="results/responses/{dataset}/{llm}.jsonl",
        dropped="results/responses/{dataset}/{llm}.dropped.jsonl",
        counts="results/responses/{dataset}/{llm}.counts.json",
        usage="results/responses/{dataset}/{llm}.usage.json",
    log:
        "logs/gather_responses/{dataset}/{llm}.log",
    benchmark:
        "logs/gather_responses/{dataset}/{llm}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        fingerprint=fingerprint("gather_responses"),
    message:
        "Answers gathered of {wildcards.llm}: {wildcards.dataset}"
    shell:
        "python workflow/scripts/gather_responses.py"
        " --inputs {input.inputs:q}"
        " --shards {input.shards:q}"
        " --output {output.responses:q}"
        " 2> {log:q}"
