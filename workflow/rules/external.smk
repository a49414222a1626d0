"""Corrections by external aligners, such as that of Ji et al. (arXiv 2402.02416).

Reads:  results/responses/{dataset}/{llm}.jsonl; config/external/{external}.yaml
Writes: results/external/{dataset}/{llm}/{external}.jsonl
Target: results/external/all
"""


rule apply_external:
    input:
        responses=rules.gather_responses.output.responses,
        model=external_model,
        fetched=fetched("external", "external"),
    output:
        aligned=results.EXTERNAL,
    log:
        log_of("apply_external/{dataset}/{llm}/{external}"),
    benchmark:
        benchmark_of("apply_external/{dataset}/{llm}/{external}")
    conda:
        MODELS
    params:
        **program("apply_external", "external"),
    message:
        "Corrections by external aligner {wildcards.external}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "exec {params.command:q} --external {wildcards.external:q} --responses {input.responses:q}"
        " --model {input.model:q} --output {output.aligned:q} 2> {log:q}"
