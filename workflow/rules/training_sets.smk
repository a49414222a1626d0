"""Cleaned pairs, and the training sets of aligners and inspectors.

Reads:  results/synthetic/{criterion}/pairs.jsonl, split.jsonl
Writes: results/synthetic/{criterion}/pairs_filtered.jsonl, pairs_similarity.jsonl and .png,
        {aligner,inspector}/{train,validation,test}.jsonl
Target: results/synthetic/all
"""


rule filter_pairs:
    input:
        pairs="results/synthetic/{criterion}/pairs.jsonl",
        split="results/synthetic/{criterion}/split.jsonl",
    output:
        pairs="results/synthetic/{criterion}/pairs_filtered.jsonl",
        dropped="results/synthetic/{criterion}/pairs_filtered.dropped.jsonl",
        counts="results/synthetic/{criterion}/pairs_filtered.counts.json",
    log:
        "logs/filter_pairs/{criterion}.log",
    benchmark:
        "logs/filter_pairs/{criterion}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        synthesis=config["synthesis"],
        fingerprint=fingerprint("filter_pairs", "synthesis.cleaning"),
    message:
        "Pairs filtered: {wildcards.criterion}"
    shell:
        "python workflow/scripts/filter_pairs.py"
        " --pairs {input.pairs:q}"
        " --split {input.split:q}"
        " --synthesis {params.synthesis:q}"
        " --output {output.pairs:q}"
        " 2> {log:q}"


rule score_similarity:
    input:
        pairs="results/synthetic/{criterion}/pairs_filtered.jsonl",
        fetched=fetched("encoders", "encoder"),
    output:
        pairs="results/synthetic/{criterion}/pairs_similarity.jsonl",
        histogram="results/synthetic/{criterion}/pairs_similarity.png",
    log:
        "logs/score_similarity/{criterion}.log",
    benchmark:
        "logs/score_similarity/{criterion}.benchmark.tsv"
    conda:
        "../../envs/models.yaml"
    params:
        encoder=config["encoder"],
        fingerprint=fingerprint("score_similarity", "encoder", "criterion.near_copy_similarity"),
        lease=lease_gpus,
    message:
        "Similarity of pairs: {wildcards.criterion}"
    shell:
        "{params.lease:q} python workflow/scripts/score_similarity.py"
        " --criterion {wildcards.criterion:q}"
        " --pairs {input.pairs:q}"
        " --encoder {params.encoder:q}"
        " --output {output.pairs:q}"
        " --histogram {output.histogram:q}"
        " 2> {log:q}"


rule build_aligner_set:
    input:
        pairs="results/synthetic/{criterion}/pairs_filtered.jsonl",
        split="results/synthetic/{criterion}/split.jsonl",
    output:
        train="results/synthetic/{criterion}/aligner/train.jsonl",
        validation="results/synthetic/{criterion}/aligner/validation.jsonl",
        test="results/synthetic/{criterion}/aligner/test.jsonl",
        counts="results/synthetic/{criterion}/aligner/counts.json",
        dropped="results/synthetic/{criterion}/aligner/dropped.jsonl",
    log:
        "logs/build_aligner_set/{criterion}.log",
    benchmark:
        "logs/build_aligner_set/{criterion}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        identity_share=config["identity_share"],
        aligner_rows=config["aligner_rows"],
        seed=config["seed"],
        fingerprint=fingerprint("build_aligner_set", "identity_share", "aligner_rows", "seed"),
    message:
        "Aligner set: {wildcards.criterion}"
    shell:
        "python workflow/scripts/build_aligner_set.py"
        " --pairs {input.pairs:q}"
        " --split {input.split:q}"
        " --identity-share {params.identity_share:q}"
        " --rows {params.aligner_rows:q}"
        " --seed {params.seed:q}"
        " --train {output.train:q}"
        " --validation {output.validation:q}"
        " --test {output.test:q}"
        " --counts {output.counts:q}"
        " --dropped {output.dropped:q}"
        " 2> {log:q}"


rule build_inspector_set:
    input:
        similarity="results/synthetic/{criterion}/pairs_similarity.jsonl",
        split="results/synthetic/{criterion}/split.jsonl",
    output:
        train="results/synthetic/{criterion}/inspector/train.jsonl",
        validation="results/synthetic/{criterion}/inspector/validation.jsonl",
        test="results/synthetic/{criterion}/inspector/test.jsonl",
        counts="results/synthetic/{criterion}/inspector/counts.json",
        dropped="results/synthetic/{criterion}/inspector/dropped.jsonl",
    log:
        "logs/build_inspector_set/{criterion}.log",
    benchmark:
        "logs/build_inspector_set/{criterion}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        inspector_pairs=config["inspector_pairs"],
        seed=config["seed"],
        fingerprint=fingerprint(
            "build_inspector_set",
            "criterion.near_copy_similarity",
            "inspector_pairs",
            "seed",
        ),
    message:
        "Inspector set: {wildcards.criterion}"
    shell:
        "python workflow/scripts/build_inspector_set.py"
        " --criterion {wildcards.criterion:q}"
        " --similarity {input.similarity:q}"
        " --split {input.split:q}"
        " --pairs {params.inspector_pairs:q}"
        " --seed {params.seed:q}"
        " --train {output.train:q}"
        " --validation {output.validation:q}"
        " --test {output.test:q}"
        " --counts {output.counts:q}"
        " --dropped {output.dropped:q}"
        " 2> {log:q}"
