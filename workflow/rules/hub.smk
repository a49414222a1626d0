"""Which models come from the Hub, and whether they can be had."""

import functools

from aligners.configuration.experiment import judge_model

HUB_MODELS = EXPERIMENT.hub_models

# Compute nodes often have no network: what their jobs need was fetched before.
if workflow.remote_exec:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


def fetched(kind, name):
    """Return the input function for the record of a recipe's model; one not of the Hub has none.

    The recipe's name is a wildcard or a key of config.yaml. The record must exist; its age does not matter.
    """

    def record(wildcards):
        return model_record(f"{kind}/{ {**config, **wildcards}[name]}")

    return ancient(record)


def judge_fetched(wildcards):
    """Return the record of a judge's model."""
    kind, name = judge_model(wildcards.judge)
    return model_record(f"{kind.folder}/{name}")


def model_record(model):
    """Return the record of a recipe's model as a list: one not of the Hub has none."""
    if model not in HUB_MODELS:
        return []
    warn_if_missing(model)
    return [results.MODEL_RECORD.fill(hub_model=model)]


@functools.cache
def warn_if_missing(model):
    """Warn, and say why, if a model cannot be had as the environment says there is no network."""
    if not os.environ.get("HF_HUB_OFFLINE") or workflow.remote_exec:
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


def check_models():
    """Refuse, before the first job, models that are to be fetched where there is no network."""
    for job in workflow.dag.needrun_jobs():
        if "hub_model" in job.wildcards.keys():
            if problem := warn_if_missing(job.wildcards.hub_model):
                raise UserError(problem)
