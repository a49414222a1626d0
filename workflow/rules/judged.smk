"""Verdicts of judges on the comparisons, with the rates and tests computed from them.

Reads:  results/alpaca_eval/, results/inputs/, results/responses/, results/aligned/; config/judges/{judge}.yaml
Writes: results/judged/{judge}/{dataset}/{llm}/{backbone}/{system}/{reference}/verdicts.jsonl and comparison.json
        results/judged/{judge}/{dataset}/{llm}/paired_tests.json, and {llm}.usage.json beside the directory
        results/judged/{judge}/{dataset}/{llm}/{backbone}/turns.jsonl and thresholds.csv, of the squad
        results/synthetic/{criterion}/pairs_checked.json, of the pairs
Target: results/judged/all; results/synthetic/{criterion}/pairs_checked.json
"""


rule check_pairs:
    input:
        pairs=results.FILTERED_PAIRS,
        fetched=ancient(judges_fetched),
    output:
        checked=results.CHECKED_PAIRS,
    log:
        log_of("check_pairs/{criterion}"),
    benchmark:
        benchmark_of("check_pairs/{criterion}")
    conda:
        MODELS
    params:
        **program("check_pairs", "seed", identities=deciding_judges),
        judges=config["judges"],
    message:
        "Judges compare corrections with responses: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --judges {params.judges:q} --pairs {input.pairs:q}"
        " --seed {params.seed:q} --output {output.checked:q} 2> {log:q}"


rule judge_comparisons:
    input:
        inputs=results.INPUTS,
        responses=results.RESPONSES,
        model_outputs=comparison_files(results.MODEL_OUTPUTS),
        reference_outputs=comparison_files(results.REFERENCE_OUTPUTS),
        squads=comparison_files(results.ALIGNED, backbone=EXPERIMENT.traced, system=[SQUAD.name]),
        fetched=ancient(judge_fetched),
    output:
        verdicts=comparison_files(results.VERDICTS),
        turns=comparison_files(results.TURNS),
        usage=results.JUDGE_USAGE,
    log:
        log_of("judge_comparisons/{judge}/{dataset}/{llm}"),
    benchmark:
        benchmark_of("judge_comparisons/{judge}/{dataset}/{llm}")
    wildcard_constraints:
        llm=one_of(EXPERIMENT.names["llm"]),
    conda:
        MODELS
    params:
        **program("judge_comparisons", identity=deciding_judge),
        names=names_json("backbone", "system", "reference", "traced"),
    message:
        "Verdicts of judge {wildcards.judge}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "exec {params.command:q} --judge {wildcards.judge:q} --dataset {wildcards.dataset:q}"
        " --llm {wildcards.llm:q} --names {params.names:q} 2> {log:q}"


rule compare_systems:
    input:
        model_outputs=rules.judge_comparisons.input.model_outputs,
        reference_outputs=rules.judge_comparisons.input.reference_outputs,
        verdicts=rules.judge_comparisons.output.verdicts,
    output:
        comparisons=comparison_files(results.COMPARISON),
        tests=results.PAIRED_TESTS,
    log:
        log_of("compare_systems/{judge}/{dataset}/{llm}"),
    benchmark:
        benchmark_of("compare_systems/{judge}/{dataset}/{llm}")
    wildcard_constraints:
        llm=one_of(EXPERIMENT.names["llm"]),
    localrule: True
    conda:
        DATA
    params:
        **program("compare_systems", "seed"),
        names=names_json("backbone", "system", "reference"),
    message:
        "Rates by judge {wildcards.judge}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "exec {params.command:q} --judge {wildcards.judge:q} --dataset {wildcards.dataset:q}"
        " --llm {wildcards.llm:q} --names {params.names:q} --seed {params.seed:q} 2> {log:q}"


rule trace_thresholds:
    input:
        squad=results.ALIGNED.fill(system=SQUAD.name),
        verdicts=results.VERDICTS.fill(system=SQUAD.name, reference="base"),
        turns=results.TURNS,
    output:
        curve=results.THRESHOLDS,
    log:
        log_of("trace_thresholds/{judge}/{dataset}/{llm}/{backbone}"),
    benchmark:
        benchmark_of("trace_thresholds/{judge}/{dataset}/{llm}/{backbone}")
    wildcard_constraints:
        llm=one_of(EXPERIMENT.names["llm"]),
    localrule: True
    conda:
        DATA
    params:
        **program("trace_thresholds", "seed"),
    message:
        "Win rate by offset of the thresholds, judge {wildcards.judge}: {wildcards.dataset}, {wildcards.llm}, {wildcards.backbone}"
    shell:
        "exec {params.command:q} --squad {input.squad:q} --verdicts {input.verdicts:q}"
        " --turns {input.turns:q} --seed {params.seed:q} --output {output.curve:q} 2> {log:q}"
