"""Verdicts of judges on the comparisons, and what they come to.

Reads:  results/alpaca_eval/, results/inputs/, results/responses/, results/aligned/; config/judges/{judge}.yaml
Writes: results/judged/{judge}/{dataset}/{llm}/{backbone}/{system}/{reference}/verdicts.jsonl and comparison.json
        results/judged/{judge}/{dataset}/{llm}/paired_tests.json, and {llm}.usage.json beside the directory
        results/judged/{judge}/{dataset}/{llm}/{backbone}/turns.jsonl and thresholds.csv, of the squad
Target: results/judged/all
"""


rule judge_comparisons:
    input:
        inputs="results/inputs/{dataset}.jsonl",
        responses="results/responses/{dataset}/{llm}.jsonl",
        model_outputs=compared(
            "results/alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}/model_outputs.json"
        ),
        reference_outputs=compared(
            "results/alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}/reference_outputs.json"
        ),
        squads=expand(
            "results/aligned/{dataset}/{llm}/{backbone}/squad.jsonl",
            backbone=TRACED,
            allow_missing=True,
        ),
        fetched=ancient(judge_fetched),
    output:
        verdicts=compared(
            "results/judged/{judge}/{dataset}/{llm}/{backbone}/{system}/{reference}/verdicts.jsonl"
        ),
        turns=expand(
            "results/judged/{judge}/{dataset}/{llm}/{backbone}/turns.jsonl",
            backbone=TRACED,
            allow_missing=True,
        ),
        usage="results/judged/{judge}/{dataset}/{llm}.usage.json",
    log:
        "logs/judge_comparisons/{judge}/{dataset}/{llm}.log",
    benchmark:
        "logs/judge_comparisons/{judge}/{dataset}/{llm}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        names=names_json("backbone", "system", "reference", "traced"),
        fingerprint=fingerprint("judge_comparisons", identity=identity),
        lease=lease_gpus,
    message:
        "Verdicts of {wildcards.judge}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "{params.lease:q} python workflow/scripts/judge_comparisons.py"
        " --judge {wildcards.judge:q}"
        " --dataset {wildcards.dataset:q}"
        " --llm {wildcards.llm:q}"
        " --names {params.names:q}"
        " 2> {log:q}"


rule compare_systems:
    input:
        model_outputs=rules.judge_comparisons.input.model_outputs,
        reference_outputs=rules.judge_comparisons.input.reference_outputs,
        verdicts=rules.judge_comparisons.output.verdicts,
    output:
        comparisons=compared(
            "results/judged/{judge}/{dataset}/{llm}/{backbone}/{system}/{reference}/comparison.json"
        ),
        tests="results/judged/{judge}/{dataset}/{llm}/paired_tests.json",
    log:
        "logs/compare_systems/{judge}/{dataset}/{llm}.log",
    benchmark:
        "logs/compare_systems/{judge}/{dataset}/{llm}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        names=names_json("backbone", "system", "reference"),
        seed=config["seed"],
        fingerprint=fingerprint("compare_systems", "seed"),
    message:
        "Rates of {wildcards.judge}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "python workflow/scripts/compare_systems.py"
        " --judge {wildcards.judge:q}"
        " --dataset {wildcards.dataset:q}"
        " --llm {wildcards.llm:q}"
        " --names {params.names:q}"
        " --seed {params.seed:q}"
        " 2> {log:q}"


rule trace_thresholds:
    input:
        squad="results/aligned/{dataset}/{llm}/{backbone}/squad.jsonl",
        verdicts="results/judged/{judge}/{dataset}/{llm}/{backbone}/squad/base/verdicts.jsonl",
        turns="results/judged/{judge}/{dataset}/{llm}/{backbone}/turns.jsonl",
    output:
        curve="results/judged/{judge}/{dataset}/{llm}/{backbone}/thresholds.csv",
    log:
        "logs/trace_thresholds/{judge}/{dataset}/{llm}/{backbone}.log",
    benchmark:
        "logs/trace_thresholds/{judge}/{dataset}/{llm}/{backbone}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        squad_threshold=config["squad_threshold"],
        seed=config["seed"],
        fingerprint=fingerprint("trace_thresholds", "squad_threshold", "seed"),
    message:
        "Win rate by threshold, {wildcards.judge}: {wildcards.dataset}, {wildcards.llm}, {wildcards.backbone}"
    shell:
        "python workflow/scripts/trace_thresholds.py"
        " --squad {input.squad:q}"
        " --verdicts {input.verdicts:q}"
        " --turns {input.turns:q}"
        " --threshold {params.squad_threshold:q}"
        " --seed {params.seed:q}"
        " --output {output.curve:q}"
        " 2> {log:q}"
