"""Models of the Hub, downloaded on the machine that runs Snakemake, since jobs may have no network.

Reads:  config/{hub_model}.yaml, such as config/llms/falcon-40b.yaml
Writes: results/models/{hub_model}.json; the models themselves are in the Hub's local cache
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
        DATA
    params:
        **program("fetch_model", recipe=hub_recipe),
    message:
        "Downloading the model of config/{wildcards.hub_model}.yaml"
    shell:
        "exec {params.command:q} --recipe {wildcards.hub_model:q} --output {output.record:q} 2> {log:q}"
