"""The scorecard of the closed world, where the truth is known.

Reads:  results/synthetic/, inspectors/, inputs/, responses/, aligned/, external/
Writes: results/closed_world/scorecard.json
Target: results/closed_world/scorecard.json
"""


rule score_closed_world:
    input:
        pairs=expand("results/synthetic/{criterion}/pairs.jsonl", criterion=CRITERIA),
        filtered=expand("results/synthetic/{criterion}/pairs_filtered.jsonl", criterion=CRITERIA),
        splits=expand("results/synthetic/{criterion}/split.jsonl", criterion=CRITERIA),
        inspectors=expand(
            "results/inspectors/{inspector}/{criterion}/metrics.json",
            inspector=INSPECTOR,
            criterion=CRITERIA,
        ),
        responses=expand(
            "results/responses/{dataset}/{llm}.jsonl",
            dataset=config["datasets"],
            llm=config["llms"],
        ),
        aligned=expand(
            "results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl",
            dataset=config["datasets"],
            llm=BASE_LLMS,
            backbone=config["backbones"][0],
            system=SYSTEMS,
        ),
        external=expand(
            "results/external/{dataset}/{llm}/{external}.jsonl",
            dataset=config["datasets"],
            llm=BASE_LLMS,
            external=config["external"],
        ),
    output:
        scorecard="results/closed_world/scorecard.json",
    log:
        "logs/score_closed_world.log",
    benchmark:
        "logs/score_closed_world.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        criteria=CRITERIA,
        inspector=INSPECTOR,
        backbone=config["backbones"][0],
        datasets=config["datasets"],
        llms=BASE_LLMS,
        systems=SYSTEMS,
        external=config["external"],
        teacher=config["teacher"],
        seed=config["seed"],
        fingerprint=fingerprint("score_closed_world", "criteria", "teacher", "seed"),
    message:
        "Scorecard of the closed world"
    shell:
        "python workflow/scripts/score_closed_world.py"
        " --results results"
        " --criteria {params.criteria:q}"
        " --inspector {params.inspector:q}"
        " --backbone {params.backbone:q}"
        " --datasets {params.datasets:q}"
        " --llms {params.llms:q}"
        " --systems {params.systems:q}"
        " --external {params.external:q}"
        " --teacher {params.teacher:q}"
        " --seed {params.seed:q}"
        " --output {output.scorecard:q}"
        " 2> {log:q}"
