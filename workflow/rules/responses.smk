"""Responses of the LLMs, before any correction.

Reads:  results/inputs/{dataset}.jsonl; config/llms/{llm}.yaml
Writes: results/responses/{dataset}/{llm}/{shard}.jsonl, gathered in {llm}.jsonl
Target: results/responses/all
"""


rule generate_responses:
    input:
        inputs=results.INPUTS,
        fetched=fetched("llms", "llm"),
    output:
        **outputs_beside(results.RESPONSES_SHARD, "usage"),
        responses=results.RESPONSES_SHARD,
    log:
        log_of("generate_responses/{dataset}/{llm}/{shard}"),
    benchmark:
        benchmark_of("generate_responses/{dataset}/{llm}/{shard}")
    wildcard_constraints:
        shard=one_of(map(str, range(config["shards"]["responses"]))),
    conda:
        MODELS
    params:
        **program("generate_responses", "llm", "llm.responses", "shards.responses", "seed"),
    message:
        "Responses of {wildcards.llm}: {wildcards.dataset}, shard {wildcards.shard}"
    shell:
        "exec {params.command:q} --llm {wildcards.llm:q} --inputs {input.inputs:q}"
        " --shard {wildcards.shard:q} --shards {params.shards:q} --seed {params.seed:q}"
        " --output {output.responses:q} 2> {log:q}"


rule gather_responses:
    input:
        **shards_of(results.RESPONSES_SHARD, config["shards"]["responses"]),
        inputs=results.INPUTS,
    output:
        **outputs_beside(results.RESPONSES, "usage"),
        responses=results.RESPONSES,
    log:
        log_of("gather_responses/{dataset}/{llm}"),
    benchmark:
        benchmark_of("gather_responses/{dataset}/{llm}")
    localrule: True
    conda:
        DATA
    params:
        **program("gather_responses"),
    message:
        "Gathering the shards of responses of {wildcards.llm}: {wildcards.dataset}"
    shell:
        "exec {params.command:q} --inputs {input.inputs:q} --shards {input.shards:q}"
        " --output {output.responses:q} 2> {log:q}"
