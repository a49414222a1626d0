"""Questions of each criterion.

Reads:  results/synthetic/{criterion}/topics_deduplicated.jsonl; the criterion's seed questions; the teacher
Writes: results/synthetic/{criterion}/questions.jsonl, questions.csv
Target: results/synthetic/{criterion}/questions.jsonl
"""


rule generate_questions:
    input:
        topics=rules.deduplicate_topics.output.topics,
        fetched=fetched("llms", "teacher"),
    output:
        **outputs_beside(results.QUESTIONS, "usage"),
        questions=results.QUESTIONS,
        table=results.QUESTIONS_TABLE,
    log:
        log_of("generate_questions/{criterion}"),
    benchmark:
        benchmark_of("generate_questions/{criterion}")
    wildcard_constraints:
        criterion=one_of(GENERATED),
    conda:
        MODELS
    params:
        **program(
            "generate_questions",
            "criterion.seed_questions",
            "criterion.description",
            "criterion.languages",
            "teacher",
            "synthesis.questions",
            "questions_per_criterion",
            "seed",
        ),
    message:
        "Questions: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --teacher {params.teacher:q}"
        " --synthesis {params.synthesis:q} --topics {input.topics:q}"
        " --questions {params.questions_per_criterion:q} --seed {params.seed:q}"
        " --output {output.questions:q} --table {output.table:q} 2> {log:q}"
