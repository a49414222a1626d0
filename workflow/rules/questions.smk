"""Questions of each criterion.

Reads:  results/synthetic/{criterion}/topics_deduplicated.jsonl; the criterion's seed questions; the teacher
Writes: results/synthetic/{criterion}/questions.jsonl, questions.csv
Target: results/synthetic/{criterion}/questions.jsonl
"""


rule generate_questions:
    input:
        topics="results/synthetic/{criterion}/topics_deduplicated.jsonl",
        fetched=fetched("llms", "teacher"),
    output:
        questions="results/synthetic/{criterion}/questions.jsonl",
        dropped="results/synthetic/{criterion}/questions.dropped.jsonl",
        counts="results/synthetic/{criterion}/questions.counts.json",
        usage="results/synthetic/{criterion}/questions.usage.json",
        table="results/synthetic/{criterion}/questions.csv",
    log:
        "logs/generate_questions/{criterion}.log",
    benchmark:
        "logs/generate_questions/{criterion}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        teacher=config["teacher"],
        synthesis=config["synthesis"],
        questions_per_criterion=config["questions_per_criterion"],
        seed=config["seed"],
        fingerprint=fingerprint(
            "generate_questions",
            "criterion.seed_questions",
            "teacher",
            "synthesis.questions",
            "questions_per_criterion",
            "seed",
        ),
        lease=lease_gpus,
    message:
        "Questions: {wildcards.criterion}"
    shell:
        "{params.lease:q} python workflow/scripts/generate_questions.py"
        " --criterion {wildcards.criterion:q}"
        " --teacher {params.teacher:q}"
        " --synthesis {params.synthesis:q}"
        " --topics {input.topics:q}"
        " --questions {params.questions_per_criterion:q}"
        " --seed {params.seed:q}"
        " --output {output.questions:q}"
        " --table {output.table:q}"
        " 2> {log:q}"
