"""Topics of each criterion.

Reads:  config/criteria/{criterion}.yaml and its seed questions; the teacher
Writes: results/synthetic/{criterion}/topics.jsonl, topics_deduplicated.jsonl
Target: results/synthetic/{criterion}/topics_deduplicated.jsonl
"""


rule generate_topics:
    input:
        fetched=fetched("llms", "teacher"),
    output:
        topics="results/synthetic/{criterion}/topics.jsonl",
        dropped="results/synthetic/{criterion}/topics.dropped.jsonl",
        counts="results/synthetic/{criterion}/topics.counts.json",
        usage="results/synthetic/{criterion}/topics.usage.json",
    log:
        "logs/generate_topics/{criterion}.log",
    benchmark:
        "logs/generate_topics/{criterion}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        teacher=config["teacher"],
        synthesis=config["synthesis"],
        topic_rounds=config["topic_rounds"],
        seed=config["seed"],
        fingerprint=fingerprint(
            "generate_topics",
            "criterion.seed_questions",
            "teacher",
            "synthesis.topics",
            "topic_rounds",
            "seed",
        ),
        lease=lease_gpus,
    message:
        "Topics: {wildcards.criterion}"
    shell:
        "{params.lease:q} python workflow/scripts/generate_topics.py"
        " --criterion {wildcards.criterion:q}"
        " --teacher {params.teacher:q}"
        " --synthesis {params.synthesis:q}"
        " --rounds {params.topic_rounds:q}"
        " --seed {params.seed:q}"
        " --output {output.topics:q}"
        " 2> {log:q}"


rule deduplicate_topics:
    input:
        topics="results/synthetic/{criterion}/topics.jsonl",
    output:
        topics="results/synthetic/{criterion}/topics_deduplicated.jsonl",
        dropped="results/synthetic/{criterion}/topics_deduplicated.dropped.jsonl",
        counts="results/synthetic/{criterion}/topics_deduplicated.counts.json",
    log:
        "logs/deduplicate_topics/{criterion}.log",
    benchmark:
        "logs/deduplicate_topics/{criterion}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        synthesis=config["synthesis"],
        seed=config["seed"],
        fingerprint=fingerprint("deduplicate_topics", "synthesis.topics", "seed"),
    message:
        "Distinct topics: {wildcards.criterion}"
    shell:
        "python workflow/scripts/deduplicate_topics.py"
        " --topics {input.topics:q}"
        " --synthesis {params.synthesis:q}"
        " --seed {params.seed:q}"
        " --output {output.topics:q}"
        " 2> {log:q}"
