"""Pairs of a response y and its correction y', with the critique.

Reads:  results/synthetic/{criterion}/questions.jsonl; the criterion's principles; the teacher; the LLMs of responses_by;
        or the criterion's own pairs
Writes: results/synthetic/{criterion}/pairs/{shard}.jsonl, gathered in pairs.jsonl; responses/{llm}/{shard}.jsonl
Target: results/synthetic/{criterion}/pairs.jsonl
"""

# Only with responses_by; else the teacher writes the responses too.
FIRST_RESPONSES = [results.FIRST_RESPONSES_SHARD.fill(llm=llm) for llm in config["responses_by"]]
RESPONSES_OPTION = " --responses {input.responses:q}" if FIRST_RESPONSES else ""


rule generate_first_responses:
    input:
        questions=rules.generate_questions.output.questions,
        fetched=fetched("llms", "llm"),
    output:
        **outputs_beside(results.FIRST_RESPONSES_SHARD, "usage"),
        responses=results.FIRST_RESPONSES_SHARD,
    log:
        log_of("generate_first_responses/{criterion}/{llm}/{shard}"),
    benchmark:
        benchmark_of("generate_first_responses/{criterion}/{llm}/{shard}")
    wildcard_constraints:
        criterion=one_of(GENERATED),
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
        questions=rules.generate_questions.output.questions,
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
        criterion=one_of(GENERATED),
        shard=one_of(map(str, range(config["shards"]["pairs"]))),
    conda:
        MODELS
    params:
        **program(
            "generate_pairs",
            "criterion.principles",
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
        **shards_of(results.PAIRS_SHARD, config["shards"]["pairs"]),
        questions=rules.generate_questions.output.questions,
    output:
        **outputs_beside(results.PAIRS, "usage"),
        pairs=results.PAIRS,
    log:
        log_of("gather_pairs/{criterion}"),
    benchmark:
        benchmark_of("gather_pairs/{criterion}")
    wildcard_constraints:
        criterion=one_of(GENERATED),
    localrule: True
    conda:
        DATA
    params:
        **program("gather_pairs"),
    message:
        "Gathering the shards of pairs: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --questions {input.questions:q} --shards {input.shards:q}"
        " --output {output.pairs:q} 2> {log:q}"


rule import_pairs:
    output:
        **outputs_beside(results.PAIRS),
        pairs=results.PAIRS,
        questions=results.QUESTIONS,
        table=results.QUESTIONS_TABLE,
    log:
        log_of("import_pairs/{criterion}"),
    benchmark:
        benchmark_of("import_pairs/{criterion}")
    wildcard_constraints:
        criterion=one_of(IMPORTED),
    localrule: True
    conda:
        DATA
    params:
        **program("import_pairs", "criterion.pairs"),
    message:
        "Own pairs: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --pairs {output.pairs:q}"
        " --questions {output.questions:q} --table {output.table:q} 2> {log:q}"
