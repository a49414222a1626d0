"""Models of the Hub: fetched where Snakemake runs, for jobs that may have no network.

Reads:  config/{hub_model}.yaml, such as config/llms/falcon-40b.yaml
Writes: results/models/{hub_model}.json; the files themselves are in the cache of the Hub
Target: results/models/all
"""


rule fetch_model:
    output:
        record="results/models/{hub_model}.json",
    log:
        "logs/fetch_model/{hub_model}.log",
    benchmark:
        "logs/fetch_model/{hub_model}.benchmark.tsv"
    conda:
        "../../envs/data.yaml"
    params:
        fingerprint=fingerprint("fetch_model", recipe=hub_recipe),
    message:
        "Fetching the model of {wildcards.hub_model}"
    shell:
        "python workflow/scripts/fetch_model.py"
        " --recipe {wildcards.hub_model:q}"
        " --output {output.record:q}"
        " 2> {log:q}"
