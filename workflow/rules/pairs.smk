"""Pairs of a response y and its correction y', with the critique.

Reads:  results/synthetic/{criterion}/questions.jsonl, own_data.jsonl; the criterion's principles; the teacher; the
        LLMs of responses_by
Writes: results/synthetic/{criterion}/pairs/{shard}.jsonl, gathered in pairs.jsonl; responses/{llm}/{shard}.jsonl
Target: results/synthetic/{criterion}/pairs.jsonl
"""

# Only with responses_by; else the teacher writes the responses too.
FIRST_RESPONSES = [results.FIRST_RESPONSES_SHARD.fill(llm=llm) for llm in config["responses_by"]]
RESPONSES_OPTION = " --responses {input.responses:q}" if FIRST_RESPONSES else ""


rule generate_first_responses:
    input:
        questions=criterion_questions,
        fetched=fetched("llms", "llm"),
    output:
        **outputs_beside(results.FIRST_RESPONSES_SHARD, "usage"),
        responses=results.FIRST_RESPONSES_SHARD,
    log:
        log_of("generate_first_responses/{criterion}/{llm}/{shard}"),
    benchmark:
        benchmark_of("generate_first_responses/{criterion}/{llm}/{shard}")
    wildcard_constraints:
        criterion=one_of(CORRECTED),
        llm=one_of(config["responses_by"]),
        shard=one_of(map(str, range(config["shards"]["pairs"]))),
    conda:
        MODELS
    params:
        **program(
            "generate_first_responses",
            "llm",
            "llm.responses",
            "responses_by",
            "shards.pairs",
            "seed",
        ),
    message:
        "First responses of {wildcards.llm}: {wildcards.criterion}, shard {wildcards.shard}"
    shell:
        "exec {params.command:q} --llm {wildcards.llm:q} --responses-by {params.responses_by:q}"
        " --questions {input.questions:q} --shard {wildcards.shard:q} --shards {params.shards:q}"
        " --seed {params.seed:q} --output {output.responses:q} 2> {log:q}"


rule generate_pairs:
    input:
        questions=criterion_questions,
        responses=FIRST_RESPONSES,
        failed=[responses.beside("dropped.jsonl") for responses in FIRST_RESPONSES],
        fetched=fetched("llms", "teacher"),
    output:
        **outputs_beside(results.PAIRS_SHARD, "usage"),
        pairs=results.PAIRS_SHARD,
    log:
        log_of("generate_pairs/{criterion}/{shard}"),
    benchmark:
        benchmark_of("generate_pairs/{criterion}/{shard}")
    wildcard_constraints:
        criterion=one_of(CORRECTED),
        shard=one_of(map(str, range(config["shards"]["pairs"]))),
    conda:
        MODELS
    params:
        **program(
            "generate_pairs",
            "criterion.principles",
            "criterion.languages",
            "teacher",
            "synthesis.pairs",
            "shards.pairs",
            "seed",
        ),
    message:
        "Pairs: {wildcards.criterion}, shard {wildcards.shard}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --teacher {params.teacher:q}"
        " --synthesis {params.synthesis:q} --questions {input.questions:q}"
        " --shard {wildcards.shard:q} --shards {params.shards:q} --seed {params.seed:q}"
        " --output {output.pairs:q}"
        f"{RESPONSES_OPTION} 2> {{log:q}}"


rule gather_pairs:
    input:
        unpack(pairs_of_teacher),
        questions=criterion_questions,
    output:
        **outputs_beside(results.PAIRS, "usage"),
        pairs=results.PAIRS,
    log:
        log_of("gather_pairs/{criterion}"),
    benchmark:
        benchmark_of("gather_pairs/{criterion}")
    localrule: True
    conda:
        DATA
    params:
        **program("gather_pairs"),
    message:
        "Gathering the pairs: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --questions {input.questions:q} --output {output.pairs:q}"
        " --shards {input.shards:q} 2> {log:q}"
