"""The `all` of every stage: checksums and paths of its files.

Reads:  every file of a stage
Writes: results/{stage}/all
Target: results/{synthetic,inspectors,aligners,responses,aligned,external,alpaca_eval,judged,tables}/all
"""


rule list_stage:
    input:
        files=stage_files,
    output:
        listing="results/{stage}/all",
    log:
        "logs/list_stage/{stage}.log",
    benchmark:
        "logs/list_stage/{stage}.benchmark.tsv"
    wildcard_constraints:
        stage=one_of(STAGES),
    conda:
        "../../envs/data.yaml"
    params:
        patterns=stage_patterns,
        fingerprint=fingerprint("list_stage"),
    message:
        "Checksums: results/{wildcards.stage}/all"
    shell:
        "python workflow/scripts/list_stage.py"
        " --files {params.patterns}"
        " --output {output.listing:q}"
        " 2> {log:q}"
