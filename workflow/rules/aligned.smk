"""Corrections of the responses by individual aligners, by the conditioned aligner and by squads.

Reads:  results/responses/{dataset}/{llm}.jsonl; aligners and squads
Writes: results/aligned/{dataset}/{llm}/{backbone}/{system}.jsonl
Target: results/aligned/all
"""


rule apply_aligner:
    input:
        responses=rules.gather_responses.output.responses,
        model=rules.train_aligner.output.model,
    output:
        aligned=results.ALIGNED.fill(system="{aligner}"),
    log:
        log_of("apply_aligner/{dataset}/{llm}/{backbone}/{aligner}"),
    benchmark:
        benchmark_of("apply_aligner/{dataset}/{llm}/{backbone}/{aligner}")
    wildcard_constraints:
        aligner=one_of([*CRITERIA, CONDITIONED]),
    conda:
        MODELS
    params:
        **program("apply_aligner", "backbone.inference", principles=principles),
        recipe=recipe_name("backbone"),
        criteria=criteria_in_order,
    message:
        "Corrections by aligner {wildcards.aligner} of {wildcards.backbone}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "exec {params.command:q} --criteria {params.criteria:q} --backbone {params.recipe:q}"
        " --responses {input.responses:q} --model {input.model:q}"
        " --output {output.aligned:q} 2> {log:q}"


rule apply_squad:
    input:
        responses=rules.gather_responses.output.responses,
        squad=rules.assemble_squad.output.squad,
    output:
        aligned=results.ALIGNED,
    log:
        log_of("apply_squad/{dataset}/{llm}/{backbone}/{system}"),
    benchmark:
        benchmark_of("apply_squad/{dataset}/{llm}/{backbone}/{system}")
    conda:
        MODELS
    params:
        **program("apply_squad", "backbone.inference", first_sentence=responds_in_first_sentences),
        recipe=recipe_name("backbone"),
    message:
        "Corrections by {wildcards.system} of {wildcards.backbone}: {wildcards.dataset}, {wildcards.llm}"
    shell:
        "exec {params.command:q} --squad {input.squad:q} --backbone {params.recipe:q}"
        " --llm {wildcards.llm:q} --responses {input.responses:q} --output {output.aligned:q}"
        " 2> {log:q}"
