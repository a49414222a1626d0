"""Pairs of a response y and its correction y', with the critique between them.

Reads:  results/synthetic/{criterion}/questions.jsonl; the criterion's principles; the teacher
Writes: results/synthetic/{criterion}/pairs/{shard}.jsonl, gathered in pairs.jsonl
Target: results/synthetic/{criterion}/pairs.jsonl
"""


rule generate_pairs:
    input:
        questions="results/synthetic/{criterion}/questions.jsonl",
        fetched=fetched("llms", "teacher"),
    output:
        pairs="results/synthetic/{criterion}/pairs/{shard}.jsonl",
        dropped="results/synthetic/{criterion}/pairs/{shard}.dropped.jsonl",
        counts="results/synthetic/{criterion}/pairs/{shard}.counts.json",
        usage="results/synthetic/{criterion}/pairs/{shard}.usage.json",
    log:
        "logs/generate_pairs/{criterion}/{shard}.log",
    benchmark:
        "logs/generate_pairs/{criterion}/{shard}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        teacher=config["teacher"],
        synthesis=config["synthesis"],
        shards=config["shards"]["pairs"],
        seed=config["seed"],
        fingerprint=fingerprint(
            "generate_pairs",
            "criterion.principles",
            "teacher",
            "synthesis.pairs",
            "shards.pairs",
            "seed",
        ),
        lease=lease_gpus,
    message:
        "Pairs: {wildcards.criterion}, shard {wildcards.shard}"
    shell:
        "{params.lease:q} python workflow/scripts/generate_pairs.py"
        " --criterion {wildcards.criterion:q}"
        " --teacher {params.teacher:q}"
        " --synthesis {params.synthesis:q}"
        " --questions {input.questions:q}"
        " --shard {wildcards.shard:q}"
        " --shards {params.shards:q}"
        " --seed {params.seed:q}"
        " --output {output.pairs:q}"
        " 2> {log:q}"


rule gather_pairs:
    input:
        questions="results/synthetic/{criterion}/questions.jsonl",
        shards=expand(
            "results/synthetic/{criterion}/pairs/{shard}.jsonl",
            shard=range(config["shards"]["pairs"]),
            allow_missing=True,
        ),
        beside=expand(
            "results/synthetic/{criterion}/pairs/{shard}.{kind}",
            shard=range(config["shards"]["pairs"]),
            kind=["dropped.jsonl", "usage.json"],
            allow_missing=True,
        ),
    output:
        pairs="results/synthetic/{criterion}/pairs.jsonl",
        dropped="results/synthetic/{criterion}/pairs.dropped.jsonl",
        counts="results/synthetic/{criterion}/pairs.counts.json",
        usage="results/synthetic/{criterion}/pairs.usage.json",
    log:
        "logs/gather_pairs/{criterion}.log",
    benchmark:
        "logs/gather_pairs/{criterion}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        fingerprint=fingerprint("gather_pairs"),
    message:
        "Pairs gathered: {wildcards.criterion}"
    shell:
        "python workflow/scripts/gather_pairs.py"
        " --questions {input.questions:q}"
        " --shards {input.shards:q}"
        " --output {output.pairs:q}"
        " 2> {log:q}"
