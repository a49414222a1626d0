"""The win rates that the paper's code reported, beside ours under the paper's protocol.

Reads:  results/alpaca_eval/{dataset}/{llm}/{backbone}/squad-paper/; resources/reported/win_rates.csv
Writes: results/reproduction/{judge}/{dataset}/{llm}/{backbone}/squad-paper/{reference}/verdicts.jsonl
        results/reproduction/{judge}/win_rates.csv and win_rates.md
Target: results/reproduction/{judge}/win_rates.md
"""

# The protocol chooses categories by their numbers.
NUMBERED_DATASETS = [
    name for name in IMPORTED_DATASETS if load_recipe(DatasetRecipe, name).columns.category_id
]
PAPERS = {"system": [SQUAD_PAPER.name]}


rule judge_reproduction:
    input:
        inputs=results.INPUTS,
        responses=results.RESPONSES,
        model_outputs=compared(results.MODEL_OUTPUTS, **PAPERS),
        reference_outputs=compared(results.REFERENCE_OUTPUTS, **PAPERS),
        fetched=ancient(judge_fetched),
    output:
        verdicts=compared(results.REPRODUCED_VERDICTS, **PAPERS),
        usage=results.REPRODUCTION_USAGE,
    log:
        log_of("judge_reproduction/{judge}/{dataset}/{llm}"),
    benchmark:
        benchmark_of("judge_reproduction/{judge}/{dataset}/{llm}")
    conda:
        MODELS
    params:
        **program("judge_reproduction", identity=deciding_judge),
        names=names_json("backbone", "reference"),
    message:
        "Verdicts of {wildcards.judge} by the paper's protocol: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "{params.command:q} --judge {wildcards.judge:q} --dataset {wildcards.dataset:q}"
        " --llm {wildcards.llm:q} --names {params.names:q} 2> {log:q}"


rule compare_with_reported:
    input:
        verdicts=EXPERIMENT.files(
            results.REPRODUCED_VERDICTS, judge=["{judge}"], dataset=NUMBERED_DATASETS, **PAPERS
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
        names=names_json("llm", "backbone", "reference", dataset=NUMBERED_DATASETS),
    message:
        "Reported win rates and ours, by {wildcards.judge}"
    shell:
        "{params.command:q} --judge {wildcards.judge:q} --names {params.names:q} 2> {log:q}"
