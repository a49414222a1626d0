"""External aligners, such as that of Ji et al. (arXiv 2402.02416), on the same answers.

Reads:  results/responses/{dataset}/{llm}.jsonl; config/external/{external}.yaml
Writes: results/external/{dataset}/{llm}/{external}.jsonl
Target: results/external/all
"""


rule apply_external:
    input:
        responses="results/responses/{dataset}/{llm}.jsonl",
        model=external_model,
        fetched=fetched("external", "external"),
    output:
        aligned="results/external/{dataset}/{llm}/{external}.jsonl",
    log:
        "logs/apply_external/{dataset}/{llm}/{external}.log",
    benchmark:
        "logs/apply_external/{dataset}/{llm}/{external}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        fingerprint=fingerprint("apply_external", "external"),
        lease=lease_gpus,
    message:
        "External aligner {wildcards.external}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "{params.lease:q} python workflow/scripts/apply_external.py"
        " --external {wildcards.external:q}"
        " --responses {input.responses:q}"
        " --model {input.model:q}"
        " --output {output.aligned:q}"
        " 2> {log:q}"
