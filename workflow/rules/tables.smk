"""Tables of each judge's verdicts: win rates, categories, ablations, thresholds, tests.

Reads:  results/judged/{judge}/
Writes: results/tables/{judge}/{win_rates,categories,ablations,thresholds,paired_tests}.{csv,md,tex}
Target: results/tables/all
"""


rule write_tables:
    input:
        comparisons=EXPERIMENT.files(results.COMPARISON, judge=["{judge}"]),
        paired_tests=EXPERIMENT.files(results.PAIRED_TESTS, judge=["{judge}"]),
        thresholds=EXPERIMENT.files(results.THRESHOLDS, judge=["{judge}"]),
    output:
        EXPERIMENT.files(results.TABLE, judge=["{judge}"]),
    log:
        log_of("write_tables/{judge}"),
    benchmark:
        benchmark_of("write_tables/{judge}")
    localrule: True
    conda:
        DATA
    params:
        **program("write_tables"),
        names=names_json("dataset", "llm", "backbone", "system", "reference", "traced"),
    message:
        "Tables of judge {wildcards.judge}"
    shell:
        "exec {params.command:q} --judge {wildcards.judge:q} --names {params.names:q} 2> {log:q}"
