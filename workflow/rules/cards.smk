"""Model cards: a README.md for each trained model, in the format of the Hugging Face Hub.

The card is not in the model's directory, because only the training rule may write there.

Reads:  results/inspectors/{inspector}/{criterion}/model/, results/aligners/{backbone}/{aligner}/model/
Writes: results/inspectors/{inspector}/{criterion}/README.md, results/aligners/{backbone}/{aligner}/README.md
Target: results/inspectors/all, results/aligners/all
"""


rule write_inspector_card:
    input:
        model=rules.train_inspector.output.model,
    output:
        card=results.INSPECTOR_CARD,
    log:
        log_of("write_inspector_card/{inspector}/{criterion}"),
    benchmark:
        benchmark_of("write_inspector_card/{inspector}/{criterion}")
    localrule: True
    conda:
        DATA
    params:
        **program("write_model_card", languages=languages_of_model),
        criteria=criteria_of_model,
    message:
        "Card of inspector {wildcards.inspector}: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --model {input.model:q} --criteria {params.criteria:q}"
        " --output {output.card:q} 2> {log:q}"


use rule write_inspector_card as write_aligner_card with:
    input:
        model=rules.train_aligner.output.model,
    output:
        card=results.ALIGNER_CARD,
    log:
        log_of("write_aligner_card/{backbone}/{aligner}"),
    benchmark:
        benchmark_of("write_aligner_card/{backbone}/{aligner}")
    message:
        "Card of aligner {wildcards.backbone}: {wildcards.aligner}"
