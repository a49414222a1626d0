"""AlpacaEval files: each system against the base LLM, its finetuned partner and external aligners.

Reads:  results/inputs/, results/responses/, results/aligned/, results/external/
Writes: results/alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}/model_outputs.json
        and reference_outputs.json
Target: results/alpaca_eval/all
"""


rule write_alpaca_eval:
    input:
        inputs=results.INPUTS,
        aligned=results.ALIGNED,
        reference=reference_responses,
        failed=failed_responses,
    output:
        model_outputs=results.MODEL_OUTPUTS,
        reference_outputs=results.REFERENCE_OUTPUTS,
    log:
        log_of("write_alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}"),
    benchmark:
        benchmark_of("write_alpaca_eval/{dataset}/{llm}/{backbone}/{system}/{reference}")
    wildcard_constraints:
        llm=one_of(EXPERIMENT.names["llm"]),
        system=one_of([*EXPERIMENT.systems, SQUAD_PAPER.name]),
    localrule: True
    conda:
        DATA
    params:
        **program("write_alpaca_eval", "alpaca_eval_rows", "seed"),
        reference=reference_name,
        reference_field=reference_field,
    message:
        "AlpacaEval files: {wildcards.dataset}, {wildcards.llm}, {wildcards.backbone}/{wildcards.system} vs {wildcards.reference}"
    shell:
        "exec {params.command:q} --dataset {wildcards.dataset:q} --inputs {input.inputs:q}"
        " --system {wildcards.llm:q}+{wildcards.backbone:q}/{wildcards.system:q}"
        " --aligned {input.aligned:q} --reference {params.reference:q}"
        " --reference-answers {input.reference:q} --reference-field {params.reference_field:q}"
        " --failed {input.failed:q} --rows {params.alpaca_eval_rows:q} --seed {params.seed:q}"
        " --model-outputs {output.model_outputs:q}"
        " --reference-outputs {output.reference_outputs:q} 2> {log:q}"
