"""Models of the Hub and of GGUF files: what must exist before a job loads a model."""

import functools

from aligners.configuration.experiment import judge_model
from aligners.configuration.recipes import gguf_file
from aligners.core.hashes import quick_hash

HUB_MODELS = EXPERIMENT.hub_models

# Compute nodes often have no network. The rule fetch_model downloads the models before.
if workflow.remote_exec:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def fetched(kind, name):
    """Return the input function for what must exist before a recipe's model is loaded.

    That is the record of a model of the Hub, or the directory of a converted GGUF file. Its age
    does not matter. `name` is the wildcard or the key of config.yaml that names the recipe.
    """

    def record(wildcards):
        return model_record(f"{kind}/{recipe_of({**config, **wildcards}[name])}")

    return ancient(record)


def judge_fetched(wildcards):
    """Return the record of a judge's model as a list."""
    return record_of_judge(wildcards.judge)


def judges_fetched(wildcards):
    """Return the records of the models of all judges."""
    return [record for judge in config["judges"] for record in record_of_judge(judge)]


def record_of_judge(judge):
    """Return the record of a judge's model as a list."""
    kind, name = judge_model(judge)
    return model_record(f"{kind.folder}/{name}")


def model_record(model):
    """Return the record or the converted directory of a recipe's model as a list.

    The list is empty for a model that needs neither, such as a local directory.
    """
    if path := gguf_file(EXPERIMENT.recipes[model]):
        return [results.CONVERTED_MODEL.fill(gguf=path.stem)]
    if model not in HUB_MODELS:
        return []
    warn_if_missing(model)
    return [results.MODEL_RECORD.fill(hub_model=model)]


@functools.cache
def warn_if_missing(model):
    """Warn if a model is missing and HF_HUB_OFFLINE forbids its download; return the problem."""
    if workflow.remote_exec:
        return ""
    from aligners.models.hub import check_fetched

    try:
        check_fetched(HUB_MODELS[model], model)
    except UserError as error:
        logger.warning(f"A real run would stop: {error}")
        return str(error)
    return ""


def hub_recipe(wildcards):
    """Return what decides which files of a model are fetched."""
    source = HUB_MODELS[wildcards.hub_model]
    return [source.model, source.revision, source.weights]


def gguf_hash(wildcards):
    """Return a hash of a GGUF file."""
    return quick_hash(GGUF_FILES[wildcards.gguf])


def check_models():
    """Raise UserError before the first job if a missing model cannot be downloaded."""
    for job in workflow.dag.needrun_jobs():
        if "hub_model" in job.wildcards.keys():
            if problem := warn_if_missing(job.wildcards.hub_model):
                raise UserError(problem)
