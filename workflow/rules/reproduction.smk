"""The win rates that the paper's code reported, beside ours under the paper's protocol.

Reads:  results/reproduction/{judge}/{dataset}/{llm}/{backbone}/squad-paper/{reference}/verdicts.jsonl;
        resources/reported/win_rates.csv
Writes: results/reproduction/{judge}/win_rates.csv and win_rates.md
Target: results/reproduction/{judge}/win_rates.md
"""

# The protocol chooses categories by their numbers.
NUMBERED_DATASETS = [
    name for name in IMPORTED_DATASETS if load_recipe("datasets", name)["columns"]["category_id"]
]


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
    wildcard_constraints:
        judge=one_of(JUDGES),
    conda:
        "../../envs/data.yaml"
    params:
        fingerprint=fingerprint("compare_with_reported"),
    message:
        "Reported win rates and ours: {output.markdown}"
    shell:
        "python workflow/scripts/compare_with_reported.py"
        " --judge {wildcards.judge:q}"
        " --reported {input.reported:q}"
        " --verdicts {input.verdicts:q}"
        " --csv {output.csv:q}"
        " --markdown {output.markdown:q}"
        " 2> {log:q}"
