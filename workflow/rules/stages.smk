"""The file `all` of every stage: checksums and paths of its files.

Reads:  all files of a stage
Writes: results/{stage}/all
Target: results/{models,imported,synthetic,inspectors,aligners,squads,responses,aligned,external,alpaca_eval,judged,tables}/all
"""


rule list_stage:
    input:
        files=stage_files,
    output:
        listing=results.STAGE_LIST,
    log:
        log_of("list_stage/{stage}"),
    benchmark:
        benchmark_of("list_stage/{stage}")
    localrule: True
    conda:
        DATA
    params:
        **program("list_stage"),
        names=stage_names,
    message:
        "Checksums of results/{wildcards.stage}"
    shell:
        "exec {params.command:q} --stage {wildcards.stage:q} --names {params.names:q} 2> {log:q}"
