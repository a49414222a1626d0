"""Topics of each criterion.

Reads:  config/criteria/{criterion}.yaml and its seed questions; the teacher
Writes: results/synthetic/{criterion}/topics.jsonl, topics_deduplicated.jsonl
Target: results/synthetic/{criterion}/topics_deduplicated.jsonl
"""


rule generate_topics:
    input:
        fetched=fetched("llms", "teacher"),
    output:
        **outputs_beside(results.TOPICS, "usage"),
        topics=results.TOPICS,
    log:
        log_of("generate_topics/{criterion}"),
    benchmark:
        benchmark_of("generate_topics/{criterion}")
    wildcard_constraints:
        criterion=one_of(GENERATED),
    conda:
        MODELS
    params:
        **program(
            "generate_topics",
            "criterion.seed_questions",
            "criterion.languages",
            "teacher",
            "synthesis.topics",
            "topic_rounds",
            "seed",
        ),
    message:
        "Topics: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --teacher {params.teacher:q}"
        " --synthesis {params.synthesis:q} --rounds {params.topic_rounds:q} --seed {params.seed:q}"
        " --output {output.topics:q} 2> {log:q}"


rule deduplicate_topics:
    input:
        topics=rules.generate_topics.output.topics,
    output:
        **outputs_beside(results.DISTINCT_TOPICS),
        topics=results.DISTINCT_TOPICS,
    log:
        log_of("deduplicate_topics/{criterion}"),
    benchmark:
        benchmark_of("deduplicate_topics/{criterion}")
    wildcard_constraints:
        criterion=one_of(GENERATED),
    localrule: True
    conda:
        DATA
    params:
        **program("deduplicate_topics", "synthesis.topics", "seed"),
    message:
        "Deduplicating topics: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --topics {input.topics:q} --synthesis {params.synthesis:q}"
        " --seed {params.seed:q} --output {output.topics:q} 2> {log:q}"
