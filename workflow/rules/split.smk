"""One split of the questions into train, validation and test, for every later stage.

Reads:  results/synthetic/{criterion}/questions.jsonl; the splits of the criteria before it
Writes: results/synthetic/{criterion}/split.jsonl
Target: results/synthetic/{criterion}/split.jsonl
"""


rule split_questions:
    input:
        questions="results/synthetic/{criterion}/questions.jsonl",
        earlier=earlier_splits,
    output:
        split="results/synthetic/{criterion}/split.jsonl",
        dropped="results/synthetic/{criterion}/split.dropped.jsonl",
        counts="results/synthetic/{criterion}/split.counts.json",
    log:
        "logs/split_questions/{criterion}.log",
    benchmark:
        "logs/split_questions/{criterion}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        shares=[config["split"][side] for side in ("train", "validation", "test")],
        synthesis=config["synthesis"],
        fingerprint=fingerprint("split_questions", "synthesis.split", "split"),
    message:
        "Split: {wildcards.criterion}"
    shell:
        "python workflow/scripts/split_questions.py"
        " --questions {input.questions:q}"
        " --earlier {input.earlier:q}"
        " --synthesis {params.synthesis:q}"
        " --shares {params.shares:q}"
        " --output {output.split:q}"
        " 2> {log:q}"
