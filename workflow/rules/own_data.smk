"""Data of one's own: imports, and those of each criterion.

Reads:  config/imports/{imported}.yaml and its table; results/synthetic/{criterion}/questions.jsonl
Writes: results/imported/{imported}.jsonl; results/synthetic/{criterion}/own_data.jsonl
Target: results/imported/all
"""


rule import_data:
    output:
        **outputs_beside(results.IMPORTED),
        rows=results.IMPORTED,
    log:
        log_of("import_data/{imported}"),
    benchmark:
        benchmark_of("import_data/{imported}")
    localrule: True
    conda:
        DATA
    params:
        **program("import_data", "imported"),
    message:
        "Import: {wildcards.imported}"
    shell:
        "exec {params.command:q} --imported {wildcards.imported:q} --output {output.rows:q} 2> {log:q}"


rule join_imports:
    input:
        imports=imports_read,
        questions=teacher_questions,
    output:
        **outputs_beside(results.OWN_DATA),
        rows=results.OWN_DATA,
    log:
        log_of("join_imports/{criterion}"),
    benchmark:
        benchmark_of("join_imports/{criterion}")
    wildcard_constraints:
        criterion=one_of(IMPORTING),
    localrule: True
    conda:
        DATA
    params:
        **program("join_imports", order=import_names),
    message:
        "Own data: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --imports {input.imports:q}"
        " --questions {input.questions:q} --output {output.rows:q} 2> {log:q}"
