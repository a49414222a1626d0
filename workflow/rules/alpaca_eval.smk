"""AlpacaEval files: each system against the base LLM, its finetuned partner, external aligners.

Reads:  results/inputs/, results/responses/, results/aligned/, results/external/
Writes: results/alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}/model_outputs.json
        and reference_outputs.json
Target: results/alpaca_eval/all
"""


rule write_alpaca_eval:
    input:
        inputs="results/inputs/{dataset}.jsonl",
        aligned="results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl",
        reference=reference_answers,
    output:
        model_outputs="results/alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}/model_outputs.json",
        reference_outputs="results/alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}/reference_outputs.json",
    log:
        "logs/write_alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}.log",
    benchmark:
        "logs/write_alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}.benchmark.tsv"
    wildcard_constraints:
        system=one_of([*SYSTEMS, "squad-paper"]),
    conda:
        "../../envs/data.yaml"
    params:
        alpaca_eval_rows=config["alpaca_eval_rows"],
        seed=config["seed"],
        fingerprint=fingerprint("write_alpaca_eval", "alpaca_eval_rows", "seed"),
        reference=reference_name,
    message:
        "AlpacaEval files: {wildcards.dataset}, {wildcards.llm}, {wildcards.backbone}/{wildcards.system} vs {wildcards.reference}"
    shell:
        "python workflow/scripts/write_alpaca_eval.py"
        " --dataset {wildcards.dataset:q}"
        " --inputs {input.inputs:q}"
        " --system {wildcards.llm:q}+{wildcards.backbone:q}/{wildcards.system:q}"
        " --aligned {input.aligned:q}"
        " --reference {params.reference:q}"
        " --reference-answers {input.reference:q}"
        " --rows {params.alpaca_eval_rows:q}"
        " --seed {params.seed:q}"
        " --model-outputs {output.model_outputs:q}"
        " --reference-outputs {output.reference_outputs:q}"
        " 2> {log:q}"
