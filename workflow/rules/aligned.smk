"""Aligned responses: by the aligner of one criterion, by the conditioned one, and by the squads.

Reads:  results/responses/{dataset}/{llm}.jsonl; models of aligners and inspectors
Writes: results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl
Target: results/aligned/all
"""


rule apply_aligner:
    input:
        responses="results/responses/{dataset}/{llm}.jsonl",
        model="results/aligners/{backbone}/{aligner}/model",
    output:
        aligned="results/aligned/{dataset}/{llm}/{backbone}/{aligner}.jsonl",
    log:
        "logs/apply_aligner/{dataset}/{llm}/{backbone}/{aligner}.log",
    benchmark:
        "logs/apply_aligner/{dataset}/{llm}/{backbone}/{aligner}.benchmark.tsv"
    wildcard_constraints:
        aligner=one_of([*CRITERIA, "conditioned"]),
    conda:
        "../../envs/models.yaml"
    params:
        criteria=passes,
        fingerprint=fingerprint("apply_aligner", principles=principles),
        lease=lease_gpus,
    message:
        "Aligner {wildcards.aligner} of {wildcards.backbone}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "{params.lease:q} python workflow/scripts/apply_aligner.py"
        " --criteria {params.criteria:q}"
        " --backbone {wildcards.backbone:q}"
        " --responses {input.responses:q}"
        " --model {input.model:q}"
        " --output {output.aligned:q}"
        " 2> {log:q}"


rule apply_squad:
    input:
        responses="results/responses/{dataset}/{llm}.jsonl",
        aligners=squad_models,
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
        fingerprint=fingerprint("apply_squad", "criteria", "squad_threshold", principles=principles),
        lease=lease_gpus,
    message:
        "{wildcards.system} of {wildcards.backbone}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "{params.lease:q} python workflow/scripts/apply_squad.py"
        " --system {wildcards.system:q}"
        " --criteria {params.criteria:q}"
        " --backbone {wildcards.backbone:q}"
        " --responses {input.responses:q}"
        " --aligners {input.aligners:q}"
        " --inspectors {input.inspectors:q}"
        " --threshold {params.squad_threshold:q}"
        " --output {output.aligned:q}"
        " 2> {log:q}"
