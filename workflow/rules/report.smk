"""The report: one page with the configuration, the results and the costs of a run.

Reads:  counts, metrics, scores, corrections, comparisons and checksums of all stages;
        benchmark files in logs/ and usage files in results/, if there are any
Writes: results/figures/{data,inspectors,aligners,squad,comparisons}/, results/report.html
Target: results/report.html
"""

from aligners.report.comparisons import has_truth
from aligners.report.data import STEPS

# Inputs of both the figures and the page.
SHARED_INPUTS = {
    "counts": [path for step in STEPS.values() for path in EXPERIMENT.files(step)],
    "inspectors": EXPERIMENT.files(results.INSPECTOR_METRICS),
    "aligners": EXPERIMENT.aligner_files(results.ALIGNER_METRICS),
    "squads": EXPERIMENT.files(results.ALIGNED, system=EXPERIMENT.squads),
    "comparisons": EXPERIMENT.files(results.COMPARISON),
    "scorecard": [results.SCORECARD] if has_truth(CONFIG) else [],
}


rule draw_figures:
    input:
        **SHARED_INPUTS,
        similarity=EXPERIMENT.files(results.SIMILARITY),
        test_scores=EXPERIMENT.files(results.INSPECTOR_SCORES),
        thresholds=EXPERIMENT.files(results.THRESHOLDS),
    output:
        data=figures("data"),
        inspectors=figures("inspectors"),
        aligners=figures("aligners"),
        squad=figures("squad"),
        comparisons=figures("comparisons"),
    log:
        log_of("draw_figures"),
    benchmark:
        benchmark_of("draw_figures")
    localrule: True
    conda:
        MODELS
    params:
        **program("draw_figures", near_copies=near_copies),
        configuration=json.dumps(config),
    message:
        "Figures of the report"
    shell:
        "exec {params.command:q} --configuration {params.configuration:q} 2> {log:q}"


rule write_report:
    input:
        **SHARED_INPUTS,
        input_counts=EXPERIMENT.files(results.INPUTS.beside("counts.json"))
        + EXPERIMENT.files(results.RESPONSES.beside("counts.json")),
        pairs=EXPERIMENT.files(results.FILTERED_PAIRS),
        sets=EXPERIMENT.files(results.TRAINING_SET),
        # For the categories of the questions.
        inputs=EXPERIMENT.files(results.INPUTS),
        tests=EXPERIMENT.files(results.PAIRED_TESTS),
        # The first judge's verdicts on the squads' corrections against the responses.
        verdicts=EXPERIMENT.files(
            results.VERDICTS,
            judge=config["judges"][:1],
            system=EXPERIMENT.squads,
            reference=["base"],
        ),
        listings=[results.STAGE_LIST.fill(stage=stage) for stage in results.STAGES],
        figures=rules.draw_figures.output,
    output:
        page=results.REPORT,
    log:
        log_of("write_report"),
    benchmark:
        benchmark_of("write_report")
    localrule: True
    conda:
        DATA
    params:
        **program("write_report", page_files=page_files),
        configuration=json.dumps(config),
    message:
        "Page of the report"
    shell:
        "exec {params.command:q} --configuration {params.configuration:q} --logs logs"
        " --output {output.page:q} 2> {log:q}"
