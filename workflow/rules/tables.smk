"""The tables of each judge's verdicts: win rates, categories, ablations, thresholds, tests.

Reads:  results/judged/{judge}/
Writes: results/tables/{judge}/{win_rates,categories,ablations,thresholds,paired_tests}.{csv,md,tex}
Target: results/tables/all
"""

TABLES = ["win_rates", "categories", "ablations", "thresholds", "paired_tests"]

STAGES["tables"] = expand(
    "results/tables/{judge}/{table}.{form}",
    judge=JUDGES,
    table=TABLES,
    form=["csv", "md", "tex"],
)


rule write_tables:
    input:
        comparisons=expand(
            "results/judged/{{judge}}/{dataset}/{llm}/{backbone}/{system}/{reference}/comparison.json",
            dataset=config["datasets"],
            llm=BASE_LLMS,
            backbone=config["backbones"],
            system=SYSTEMS,
            reference=REFERENCES,
        ),
        paired_tests=expand(
            "results/judged/{{judge}}/{dataset}/{llm}/paired_tests.json",
            dataset=config["datasets"],
            llm=BASE_LLMS,
        ),
        thresholds=expand(
            "results/judged/{{judge}}/{dataset}/{llm}/{backbone}/thresholds.csv",
            dataset=config["datasets"],
            llm=BASE_LLMS,
            backbone=TRACED,
        ),
    output:
        expand("results/tables/{{judge}}/{table}.{form}", table=TABLES, form=["csv", "md", "tex"]),
    log:
        "logs/write_tables/{judge}.log",
    benchmark:
        "logs/write_tables/{judge}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        names=names_json("dataset", "llm", "backbone", "system", "reference", "traced"),
        fingerprint=fingerprint("write_tables"),
    message:
        "Tables: results/tables/{wildcards.judge}"
    shell:
        "python workflow/scripts/write_tables.py"
        " --judge {wildcards.judge:q}"
        " --names {params.names:q}"
        " 2> {log:q}"
