"""Models of the Hub, downloaded on the machine that runs Snakemake, since jobs may have no network;
and models of GGUF files, converted to directories of transformers.

Reads:  config/{hub_model}.yaml, such as config/llms/falcon-40b.yaml; the GGUF file of a recipe
Writes: results/models/{hub_model}.json; the models themselves are in the Hub's local cache
        results/models/converted/{gguf}/
Target: results/models/all
"""


rule fetch_model:
    output:
        record=results.MODEL_RECORD,
    log:
        log_of("fetch_model/{hub_model}"),
    benchmark:
        benchmark_of("fetch_model/{hub_model}")
    localrule: True
    conda:
        MODELS
    params:
        **program("fetch_model", recipe=hub_recipe),
    message:
        "Downloading the model of config/{wildcards.hub_model}.yaml"
    shell:
        "exec {params.command:q} --recipe {wildcards.hub_model:q} --output {output.record:q} 2> {log:q}"


rule convert_gguf:
    output:
        model=directory(results.CONVERTED_MODEL),
    log:
        log_of("convert_gguf/{gguf}"),
    benchmark:
        benchmark_of("convert_gguf/{gguf}")
    wildcard_constraints:
        gguf=one_of(GGUF_FILES),
    localrule: True
    conda:
        MODELS
    params:
        **program("convert_gguf", file=gguf_hash),
        path=lambda wildcards: GGUF_FILES[wildcards.gguf],
    message:
        "Converting the GGUF file {wildcards.gguf}"
    shell:
        "exec {params.command:q} --gguf {params.path:q} --output {output.model:q} 2> {log:q}"
