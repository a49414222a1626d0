"""Filtered pairs, and the training sets of aligners and inspectors.

Reads:  results/synthetic/{criterion}/pairs.jsonl, split.jsonl
Writes: results/synthetic/{criterion}/pairs_filtered.jsonl, pairs_similarity.jsonl and .png,
        labels_filtered.jsonl; {aligner,inspector}/{train,validation,test}.jsonl
Target: results/synthetic/all
"""


rule filter_pairs:
    input:
        pairs=rules.gather_pairs.output.pairs,
        split=rules.split_questions.output.split,
        dropped=rules.split_questions.output.dropped,
    output:
        **outputs_beside(results.FILTERED_PAIRS),
        pairs=results.FILTERED_PAIRS,
    log:
        log_of("filter_pairs/{criterion}"),
    benchmark:
        benchmark_of("filter_pairs/{criterion}")
    localrule: True
    conda:
        DATA
    params:
        **program(
            "filter_pairs", "synthesis.cleaning", "criterion.languages", "criterion.principles"
        ),
    message:
        "Filtering pairs: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --pairs {input.pairs:q}"
        " --split {input.split:q} --synthesis {params.synthesis:q} --output {output.pairs:q} 2> {log:q}"


rule filter_labels:
    input:
        own_data=results.OWN_DATA,
        split=rules.split_questions.output.split,
    output:
        **outputs_beside(results.FILTERED_LABELS),
        labels=results.FILTERED_LABELS,
    log:
        log_of("filter_labels/{criterion}"),
    benchmark:
        benchmark_of("filter_labels/{criterion}")
    wildcard_constraints:
        criterion=one_of(LABELLED),
    localrule: True
    conda:
        DATA
    params:
        **program("filter_labels", "synthesis.cleaning", "criterion.languages"),
    message:
        "Filtering labelled rows: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --own-data {input.own_data:q}"
        " --split {input.split:q} --synthesis {params.synthesis:q} --output {output.labels:q} 2> {log:q}"


rule score_similarity:
    input:
        pairs=rules.filter_pairs.output.pairs,
        fetched=fetched("encoders", "encoder"),
    output:
        pairs=results.SIMILARITY,
        histogram=results.SIMILARITY_HISTOGRAM,
    log:
        log_of("score_similarity/{criterion}"),
    benchmark:
        benchmark_of("score_similarity/{criterion}")
    conda:
        MODELS
    params:
        **program("score_similarity", "encoder", "criterion.near_copy_similarity"),
    message:
        "Similarity of responses and corrections: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --pairs {input.pairs:q}"
        " --encoder {params.encoder:q} --output {output.pairs:q}"
        " --histogram {output.histogram:q} 2> {log:q}"


rule build_aligner_set:
    input:
        pairs=pairs_for_aligner,
        split=rules.split_questions.output.split,
    output:
        **training_set("aligner"),
    log:
        log_of("build_aligner_set/{criterion}"),
    benchmark:
        benchmark_of("build_aligner_set/{criterion}")
    localrule: True
    conda:
        DATA
    params:
        **program(
            "build_aligner_set",
            "identity_share",
            "aligner_rows",
            "seed",
            preferences=least_similarities,
        ),
        least_similarity=least_similarities_json,
    message:
        "Training set of the aligner: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --pairs {input.pairs:q} --split {input.split:q}"
        " --identity-share {params.identity_share:q} --rows {params.aligner_rows:q}"
        " --least-similarity {params.least_similarity:q}"
        " --seed {params.seed:q} --train {output.train:q} --validation {output.validation:q}"
        " --test {output.test:q} --counts {output.counts:q} --dropped {output.dropped:q} 2> {log:q}"


rule build_inspector_set:
    input:
        similarity=rules.score_similarity.output.pairs,
        labels=labels_of,
        split=rules.split_questions.output.split,
    output:
        **training_set("inspector"),
    log:
        log_of("build_inspector_set/{criterion}"),
    benchmark:
        benchmark_of("build_inspector_set/{criterion}")
    localrule: True
    conda:
        DATA
    params:
        **program(
            "build_inspector_set", "criterion.near_copy_similarity", "inspector_pairs", "seed"
        ),
    message:
        "Training set of the inspector: {wildcards.criterion}"
    shell:
        "exec {params.command:q} --criterion {wildcards.criterion:q} --similarity {input.similarity:q}"
        " --split {input.split:q} --pairs {params.inspector_pairs:q} --seed {params.seed:q}"
        " --train {output.train:q} --validation {output.validation:q} --test {output.test:q}"
        " --counts {output.counts:q} --dropped {output.dropped:q} --labels {input.labels:q} 2> {log:q}"
