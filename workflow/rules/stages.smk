"""The `all` of every stage: checksums and paths of its files.

Reads:  every file of a stage
Writes: results/{stage}/all
Target: results/{synthetic,inspectors,aligners,responses,aligned,external,alpaca_eval,judged,tables}/all
"""


def stage_names(wildcards):
    """Return the names in the paths of a stage's files."""
    fields = {field for pattern in results.STAGES[wildcards.stage] for field in pattern.fields}
    return names_json(*sorted(fields), "answering", "traced")


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
        names=stage_names,
        fingerprint=fingerprint("list_stage"),
    message:
        "Checksums: results/{wildcards.stage}/all"
    shell:
        "python workflow/scripts/list_stage.py"
        " --stage {wildcards.stage:q}"
        " --names {params.names:q}"
        " 2> {log:q}"
