"""Models of the Hub, downloaded on the machine that runs Snakemake: jobs may have no network.

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
        "Fetching the model of {wildcards.hub_model}"
    shell:
        "{params.command:q} --recipe {wildcards.hub_model:q} --output {output.record:q} 2> {log:q}"
