"""Aligned responses: by the aligner of one criterion, and by the squads.

Reads:  results/responses/{dataset}/{llm}.jsonl; models of aligners and inspectors
Writes: results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl
Target: results/aligned/all
"""


rule apply_aligner:
    input:
        responses="results/responses/{dataset}/{llm}.jsonl",
        model="results/aligners/{backbone}/{criterion}/model",
    output:
        aligned="results/aligned/{dataset}/{llm}/{backbone}/{criterion}.jsonl",
    log:
        "logs/apply_aligner/{dataset}/{llm}/{backbone}/{criterion}.log",
    benchmark:
        "logs/apply_aligner/{dataset}/{llm}/{backbone}/{criterion}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        fingerprint=fingerprint("apply_aligner"),
    message:
        "Aligner {wildcards.criterion} of {wildcards.backbone}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "python workflow/scripts/apply_aligner.py"
        " --criterion {wildcards.criterion:q}"
        " --backbone {wildcards.backbone:q}"
        " --responses {input.responses:q}"
        " --model {input.model:q}"
        " --output {output.aligned:q}"
        " 2> {log:q}"


rule apply_squad:
    input:
        responses="results/responses/{dataset}/{llm}.jsonl",
        aligners=expand(
            "results/aligners/{backbone}/{criterion}/model",
            criterion=CRITERIA,
            allow_missing=True,
        ),
        inspectors=expand(
            "results/inspectors/{inspector}/{criterion}/model",
            inspector=INSPECTOR,
            criterion=CRITERIA,
        ),
    output:
        aligned="results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl",
    log:
        "logs/apply_squad/{dataset}/{llm}/{backbone}/{system}.log",
    benchmark:
        "logs/apply_squad/{dataset}/{llm}/{backbone}/{system}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        criteria=config["criteria"],
        squad_threshold=config["squad_threshold"],
        fingerprint=fingerprint("apply_squad", "criteria", "squad_threshold"),
    message:
        "{wildcards.system} of {wildcards.backbone}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "python workflow/scripts/apply_squad.py"
        " --system {wildcards.system:q}"
        " --criteria {params.criteria:q}"
        " --backbone {wildcards.backbone:q}"
        " --responses {input.responses:q}"
        " --aligners {input.aligners:q}"
        " --inspectors {input.inspectors:q}"
        " --threshold {params.squad_threshold:q}"
        " --output {output.aligned:q}"
        " 2> {log:q}"
