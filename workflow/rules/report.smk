"""The report: one page with what was run, made, found and spent.

Reads:  counts, metrics, scores, answers, comparisons and checksums of all stages; logs/ and results/
        for benchmark and usage files, which may be missing
Writes: results/figures/{data,inspectors,aligners,squad,comparisons}/, results/report.html
Target: results/report.html
"""

import json

from aligners.closed_world.world import CRITERIA as KNOWN_CRITERIA

SQUADS = [system for system in config["systems"] if system.startswith("squad")]
STEPS = [
    "topics.counts.json",
    "topics_deduplicated.counts.json",
    "questions.counts.json",
    "split.counts.json",
    "pairs.counts.json",
    "pairs_filtered.counts.json",
    "aligner/counts.json",
    "inspector/counts.json",
]
COUNTS = expand("results/synthetic/{criterion}/{step}", criterion=CRITERIA, step=STEPS)
INSPECTOR_METRICS = expand(
    "results/inspectors/{inspector}/{criterion}/metrics.json",
    inspector=config["inspectors"],
    criterion=CRITERIA,
)
ALIGNER_METRICS = expand(
    "results/aligners/{backbone}/{aligner}/metrics.json",
    backbone=config["backbones"],
    aligner=ALIGNERS,
) + [
    "results/aligners/{}/{}/metrics.json".format(
        load_recipe("external", name)["train"]["backbone"], name
    )
    for name in TRAINED_EXTERNAL
]
SQUAD_ANSWERS = expand(
    "results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl",
    dataset=config["datasets"],
    llm=BASE_LLMS,
    backbone=config["backbones"],
    system=SQUADS,
)
# There are as many comparisons as all these names multiplied, more than a command line holds: the
# programs are given these directories, and the names of what lies below.
JUDGED = expand(
    "results/judged/{judge}/{dataset}/{llm}",
    judge=JUDGES,
    dataset=config["datasets"],
    llm=BASE_LLMS,
)
COMPARISONS = expand(
    "{judged}/{backbone}/{system}/{reference}/comparison.json",
    judged=JUDGED,
    backbone=config["backbones"],
    system=SYSTEMS,
    reference=REFERENCES,
)
PAIRED_TESTS = expand("{judged}/paired_tests.json", judged=JUDGED)
THRESHOLDS = expand("{judged}/{backbone}/thresholds.csv", judged=JUDGED, backbone=TRACED)
# Where the teacher is of the closed world, the truth is known, but for criteria of others.
SCORECARD = (
    ["results/closed_world/scorecard.json"]
    if load_recipe("llms", config["teacher"]).get("world") and set(CRITERIA) <= set(KNOWN_CRITERIA)
    else []
)


rule draw_figures:
    input:
        counts=COUNTS,
        similarity=expand(
            "results/synthetic/{criterion}/pairs_similarity.jsonl", criterion=CRITERIA
        ),
        test_scores=expand(
            "results/inspectors/{inspector}/{criterion}/test_scores.jsonl",
            inspector=config["inspectors"],
            criterion=CRITERIA,
        ),
        aligners=ALIGNER_METRICS,
        squads=SQUAD_ANSWERS,
        comparisons=COMPARISONS,
        thresholds=THRESHOLDS,
        scorecard=SCORECARD,
    output:
        data=report(
            directory("results/figures/data"),
            patterns=["{subject}/{figure}.svg"],
            caption="../report/data.rst",
            category="Data",
            labels={"subject": "{subject}", "figure": "{figure}"},
        ),
        inspectors=report(
            directory("results/figures/inspectors"),
            patterns=["{subject}/{figure}.svg"],
            caption="../report/inspectors.rst",
            category="Inspectors",
            labels={"subject": "{subject}", "figure": "{figure}"},
        ),
        aligners=report(
            directory("results/figures/aligners"),
            patterns=["{subject}/{figure}.svg"],
            caption="../report/aligners.rst",
            category="Aligners",
            labels={"subject": "{subject}", "figure": "{figure}"},
        ),
        squad=report(
            directory("results/figures/squad"),
            patterns=["{subject}/{figure}.svg"],
            caption="../report/squad.rst",
            category="Squad",
            labels={"subject": "{subject}", "figure": "{figure}"},
        ),
        comparisons=report(
            directory("results/figures/comparisons"),
            patterns=["{subject}/{figure}.svg"],
            caption="../report/comparisons.rst",
            category="Comparisons",
            labels={"subject": "{subject}", "figure": "{figure}"},
        ),
    log:
        "logs/draw_figures.log",
    benchmark:
        "logs/draw_figures.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        judged=JUDGED,
        backbones=config["backbones"],
        systems=SYSTEMS,
        references=REFERENCES,
        traced=TRACED,
        fingerprint=fingerprint("draw_figures", near_copies=near_copies),
    message:
        "Figures of the report"
    shell:
        "python workflow/scripts/draw_figures.py"
        " --counts {input.counts:q}"
        " --similarity {input.similarity:q}"
        " --test-scores {input.test_scores:q}"
        " --aligners {input.aligners:q}"
        " --squads {input.squads:q}"
        " --judged {params.judged:q}"
        " --backbones {params.backbones:q}"
        " --systems {params.systems:q}"
        " --references {params.references:q}"
        " --traced {params.traced:q}"
        " --scorecard {input.scorecard:q}"
        " --data-figures {output.data:q}"
        " --inspector-figures {output.inspectors:q}"
        " --aligner-figures {output.aligners:q}"
        " --squad-figures {output.squad:q}"
        " --comparison-figures {output.comparisons:q}"
        " 2> {log:q}"


rule write_report:
    input:
        counts=COUNTS,
        input_counts=expand("results/inputs/{dataset}.counts.json", dataset=config["datasets"])
        + expand(
            "results/responses/{dataset}/{llm}.counts.json",
            dataset=config["datasets"],
            llm=config["llms"],
        ),
        pairs=expand("results/synthetic/{criterion}/pairs_filtered.jsonl", criterion=CRITERIA),
        sets=expand(
            "results/synthetic/{criterion}/{kind}/{side}.jsonl",
            criterion=CRITERIA,
            kind=["aligner", "inspector"],
            side=["train", "validation", "test"],
        ),
        inspectors=INSPECTOR_METRICS,
        aligners=ALIGNER_METRICS,
        squads=SQUAD_ANSWERS,
        # The categories of their questions, read beside them.
        inputs=expand("results/inputs/{dataset}.jsonl", dataset=config["datasets"]),
        comparisons=COMPARISONS,
        tests=PAIRED_TESTS,
        # What the first judge says of the squads' answers, and of the originals.
        verdicts=expand(
            "results/judged/{judge}/{dataset}/{llm}/{backbone}/{system}/base/verdicts.jsonl",
            judge=JUDGES[:1],
            dataset=config["datasets"],
            llm=BASE_LLMS,
            backbone=config["backbones"],
            system=SQUADS,
        ),
        scorecard=SCORECARD,
        listings=expand("results/{stage}/all", stage=STAGES),
        figures=rules.draw_figures.output,
        template="workflow/report/report.html.j2",
        parts=sorted(Path("workflow/report").glob("*.[hcj]*")),
    output:
        page="results/report.html",
    log:
        "logs/write_report.log",
    benchmark:
        "logs/write_report.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        configuration=json.dumps(config),
        judged=JUDGED,
        backbones=config["backbones"],
        systems=SYSTEMS,
        references=REFERENCES,
        fingerprint=fingerprint("write_report"),
    message:
        "Report"
    shell:
        "python workflow/scripts/write_report.py"
        " --configuration {params.configuration:q}"
        " --counts {input.counts:q}"
        " --input-counts {input.input_counts:q}"
        " --pairs {input.pairs:q}"
        " --sets {input.sets:q}"
        " --inspectors {input.inspectors:q}"
        " --aligners {input.aligners:q}"
        " --squads {input.squads:q}"
        " --judged {params.judged:q}"
        " --backbones {params.backbones:q}"
        " --systems {params.systems:q}"
        " --references {params.references:q}"
        " --scorecard {input.scorecard:q}"
        " --listings {input.listings:q}"
        " --figures {input.figures:q}"
        " --logs logs"
        " --results results"
        " --template {input.template:q}"
        " --output {output.page:q}"
        " 2> {log:q}"
