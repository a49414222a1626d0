"""Comparison of the win rates that the paper's code reported with ours, under the paper's protocol.

Reads:  results/alpaca_eval/{dataset}/{llm}/{backbone}/squad-paper/; resources/reported/win_rates.csv
Writes: results/reproduction/{judge}/{dataset}/{llm}/{backbone}/squad-paper/{reference}/verdicts.jsonl
        results/reproduction/{judge}/win_rates.csv and win_rates.md
Target: results/reproduction/{judge}/win_rates.md
"""

# The protocol selects categories by number.
NUMBERED_DATASETS = [
    name for name in IMPORTED_DATASETS if load_recipe(DatasetRecipe, name).columns.category_id
]
# The paper has one training of each model.
PAPER_NAMES = {"system": [SQUAD_PAPER.name], "backbone": config["backbones"]}


rule judge_reproduction:
    input:
        inputs=results.INPUTS,
        responses=results.RESPONSES,
        model_outputs=comparison_files(results.MODEL_OUTPUTS, **PAPER_NAMES),
        reference_outputs=comparison_files(results.REFERENCE_OUTPUTS, **PAPER_NAMES),
        fetched=ancient(judge_fetched),
    output:
        verdicts=comparison_files(results.REPRODUCED_VERDICTS, **PAPER_NAMES),
        usage=results.REPRODUCTION_USAGE,
    log:
        log_of("judge_reproduction/{judge}/{dataset}/{llm}"),
    benchmark:
        benchmark_of("judge_reproduction/{judge}/{dataset}/{llm}")
    wildcard_constraints:
        llm=one_of(EXPERIMENT.names["llm"]),
    conda:
        MODELS
    params:
        **program("judge_reproduction", identity=deciding_judge),
        names=names_json("backbone", "reference", backbone=config["backbones"]),
    message:
        "Verdicts of judge {wildcards.judge} by the paper's protocol: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "exec {params.command:q} --judge {wildcards.judge:q} --dataset {wildcards.dataset:q}"
        " --llm {wildcards.llm:q} --names {params.names:q} 2> {log:q}"


rule compare_with_reported:
    input:
        verdicts=EXPERIMENT.files(
            results.REPRODUCED_VERDICTS,
            judge=["{judge}"],
            dataset=NUMBERED_DATASETS,
            **PAPER_NAMES,
        ),
    output:
        csv=results.REPORTED_BESIDE_OURS.fill(form="csv"),
        markdown=results.REPORTED_BESIDE_OURS.fill(form="md"),
    log:
        log_of("compare_with_reported/{judge}"),
    benchmark:
        benchmark_of("compare_with_reported/{judge}")
    localrule: True
    conda:
        DATA
    params:
        **program("compare_with_reported", reported=reported),
        names=names_json(
            "llm",
            "backbone",
            "reference",
            backbone=config["backbones"],
            dataset=NUMBERED_DATASETS,
        ),
    message:
        "Reported win rates and ours, judge {wildcards.judge}"
    shell:
        "exec {params.command:q} --judge {wildcards.judge:q} --names {params.names:q} 2> {log:q}"
