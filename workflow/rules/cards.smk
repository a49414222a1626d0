"""Model cards: README.md of each trained model, as the Hugging Face Hub reads it.

Reads:  results/{trained}/model/, of an inspector or an aligner
Writes: results/{trained}/README.md, with {trained} as inspectors/{inspector}/{criterion} or
        aligners/{backbone}/{aligner}
Target: results/inspectors/all, results/aligners/all
"""


# The card lies beside the model: no other rule can write into the directory that a training makes.
rule write_model_card:
    input:
        model="results/{trained}/model",
    output:
        card="results/{trained}/README.md",
    log:
        "logs/write_model_card/{trained}.log",
    benchmark:
        "logs/write_model_card/{trained}.benchmark.tsv"
    wildcard_constraints:
        trained="(inspectors|aligners)/[^/]+/[^/]+",
    conda:
        "../../envs/data.yaml"
    params:
        fingerprint=fingerprint("write_model_card"),
    message:
        "Model card: {wildcards.trained}"
    shell:
        "python workflow/scripts/write_model_card.py"
        " --model {input.model:q}"
        " --output {output.card:q}"
        " 2> {log:q}"
