"""The report: one page with what was run, made, found and spent.

Reads:  counts, metrics, scores, responses, comparisons and checksums of all stages; logs/ and results/
        for benchmark and usage files, which may be missing
Writes: results/figures/{data,inspectors,aligners,squad,comparisons}/, results/report.html
Target: results/report.html
"""

from aligners.configuration.workflow_files import WORKFLOW
from aligners.core.hashes import content_hash
from aligners.report.comparisons import has_truth
from aligners.report.data import INPUT_COUNTS, RESPONSE_COUNTS, STEPS

COUNTS = [path for pattern in STEPS.values() for path in EXPERIMENT.files(pattern)]
SQUAD_ANSWERS = EXPERIMENT.files(results.ALIGNED, system=EXPERIMENT.squads)
SCORECARD = [results.SCORECARD] if has_truth(config) else []


def figures_of(section):
    """Return the output for the figures of a section."""
    return report(
        directory(results.FIGURES.fill(section=section)),
        patterns=["{subject}/{figure}.svg"],
        caption=f"../report/{section}.rst",
        category=section.capitalize(),
        labels={"subject": "{subject}", "figure": "{figure}"},
    )


def template(wildcards):
    """Return the contents of the template's files as hashes."""
    files = sorted((WORKFLOW / "workflow/report").glob("*.[hcj]*"))
    return {file.name: content_hash(file) for file in files}


rule draw_figures:
    input:
        COUNTS,
        SQUAD_ANSWERS,
        SCORECARD,
        EXPERIMENT.files(results.SIMILARITY),
        EXPERIMENT.files(results.INSPECTOR_SCORES),
        EXPERIMENT.aligner_files(results.ALIGNER_METRICS),
        EXPERIMENT.files(results.COMPARISON),
        EXPERIMENT.files(results.THRESHOLDS),
    output:
        **{section: figures_of(section) for section in EXPERIMENT.names["section"]},
    log:
        "logs/draw_figures.log",
    benchmark:
        "logs/draw_figures.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        configuration=json.dumps(config),
        fingerprint=fingerprint("draw_figures", near_copies=near_copies),
    message:
        "Figures of the report"
    shell:
        "python workflow/scripts/draw_figures.py"
        " --configuration {params.configuration:q}"
        " 2> {log:q}"


rule write_report:
    input:
        COUNTS,
        SQUAD_ANSWERS,
        SCORECARD,
        EXPERIMENT.files(INPUT_COUNTS),
        EXPERIMENT.files(RESPONSE_COUNTS),
        EXPERIMENT.files(results.FILTERED_PAIRS),
        EXPERIMENT.files(results.TRAINING_SET),
        EXPERIMENT.files(results.INSPECTOR_METRICS),
        EXPERIMENT.aligner_files(results.ALIGNER_METRICS),
        # The categories of their questions.
        EXPERIMENT.files(results.INPUTS),
        EXPERIMENT.files(results.COMPARISON),
        EXPERIMENT.files(results.PAIRED_TESTS),
        # The verdicts of the first judge on the squads' corrections.
        EXPERIMENT.files(
            results.VERDICTS,
            judge=config["judges"][:1],
            system=EXPERIMENT.squads,
            reference=["base"],
        ),
        expand(results.STAGE_LIST, stage=results.STAGES),
        rules.draw_figures.output,
    output:
        page=results.REPORT,
    log:
        "logs/write_report.log",
    benchmark:
        "logs/write_report.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        configuration=json.dumps(config),
        fingerprint=fingerprint("write_report", template=template),
    message:
        "Report"
    shell:
        "python workflow/scripts/write_report.py"
        " --configuration {params.configuration:q}"
        " --logs logs"
        " --output {output.page:q}"
        " 2> {log:q}"
