"""The win rates that the paper's code reported, beside ours under the paper's protocol.

Reads:  results/alpaca_eval/{dataset}/{llm}/{backbone}/squad-paper/; resources/reported/win_rates.csv
Writes: results/reproduction/{judge}/{dataset}/{llm}/{backbone}/squad-paper/{reference}/verdicts.jsonl
        results/reproduction/{judge}/win_rates.csv and win_rates.md
Target: results/reproduction/{judge}/win_rates.md
"""

# The protocol chooses categories by their numbers.
NUMBERED_DATASETS = [
    name for name in IMPORTED_DATASETS if load_recipe("datasets", name)["columns"]["category_id"]
]


rule judge_reproduction:
    input:
        inputs="results/inputs/{dataset}.jsonl",
        responses="results/responses/{dataset}/{llm}.jsonl",
        model_outputs=reproduced(
            "results/alpaca_eval/{dataset}/{llm}/{backbone}/squad-paper/{reference}/model_outputs.json"
        ),
        reference_outputs=reproduced(
            "results/alpaca_eval/{dataset}/{llm}/{backbone}/squad-paper/{reference}/reference_outputs.json"
        ),
        fetched=ancient(judge_fetched),
    output:
        verdicts=reproduced(
            "results/reproduction/{judge}/{dataset}/{llm}/{backbone}/squad-paper/{reference}/verdicts.jsonl"
        ),
        usage="results/reproduction/{judge}/{dataset}/{llm}.usage.json",
    log:
        "logs/judge_reproduction/{judge}/{dataset}/{llm}.log",
    benchmark:
        "logs/judge_reproduction/{judge}/{dataset}/{llm}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        names=names_json("backbone", "reference"),
        fingerprint=fingerprint("judge_reproduction", identity=identity),
        lease=lease_gpus,
    message:
        "Verdicts of {wildcards.judge} by the paper's protocol: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "{params.lease:q} python workflow/scripts/judge_reproduction.py"
        " --judge {wildcards.judge:q}"
        " --dataset {wildcards.dataset:q}"
        " --llm {wildcards.llm:q}"
        " --names {params.names:q}"
        " 2> {log:q}"


rule compare_with_reported:
    input:
        reported="resources/reported/win_rates.csv",
        verdicts=expand(
            "results/reproduction/{{judge}}/{dataset}/{llm}/{backbone}/squad-paper/{reference}/verdicts.jsonl",
            dataset=NUMBERED_DATASETS,
            llm=BASE_LLMS,
            backbone=config["backbones"],
            reference=REFERENCES,
        ),
    output:
        csv="results/reproduction/{judge}/win_rates.csv",
        markdown="results/reproduction/{judge}/win_rates.md",
    log:
        "logs/compare_with_reported/{judge}.log",
    benchmark:
        "logs/compare_with_reported/{judge}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        names=names_json("llm", "backbone", "reference", dataset=NUMBERED_DATASETS),
        fingerprint=fingerprint("compare_with_reported"),
    message:
        "Reported win rates and ours: {output.markdown}"
    shell:
        "python workflow/scripts/compare_with_reported.py"
        " --judge {wildcards.judge:q}"
        " --names {params.names:q}"
        " --reported {input.reported:q}"
        " 2> {log:q}"
