"""What all rules share: the validated configuration, names and choices, and the fingerprint."""

import json
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, "workflow/scripts")

import aligners.configuration.fingerprint
from aligners.configuration import results
from aligners.configuration.criteria import load_principles, load_question_types, numbered
from aligners.core.errors import UserError
from aligners.configuration.experiment import Experiment, check_experiment, record_experiment
from aligners.configuration.experiment import base_llms, validate_experiment
from aligners.configuration.recipes import load_recipe

# Jobs run with the interpreter that runs Snakemake, also where no environment is activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))

try:
    config.update(
        validate_experiment(
            config, Path([*workflow.overwrite_configfiles, "config/config.yaml"][0])
        )
    )
    for criterion in config["criteria"]:
        load_principles(criterion)
        load_question_types(criterion)
except UserError as error:
    raise WorkflowError(str(error))

# A dry run goes on with this warning; a real one stops before its first job (`onstart`).
try:
    check_experiment(config["name"])
except UserError as error:
    logger.warning(f"A real run would stop: {error}")

EXPERIMENT = Experiment(config)
CRITERIA = config["criteria"]
INSPECTOR = config["inspectors"][0]
BASE_LLMS = base_llms(config)
TRAINED_EXTERNAL = [
    name for name in config["external"] if load_recipe("external", name).get("train")
]
REFERENCES = ["base", "finetuned", *config["external"]]
SYSTEMS = CRITERIA + config["systems"]
CONDITIONED = ["conditioned", "squad-conditioned"]
ALIGNERS = CRITERIA + (["conditioned"] if set(CONDITIONED) & set(config["systems"]) else [])
SYNTHETIC_DATASETS = [
    name for name in config["datasets"] if load_recipe("datasets", name)["source"] == "synthetic"
]
IMPORTED_DATASETS = [name for name in config["datasets"] if name not in SYNTHETIC_DATASETS]


def one_of(names):
    """Return a wildcard constraint that admits the names alone."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    criterion=one_of(CRITERIA),
    aligner=one_of([*CRITERIA, "conditioned", *TRAINED_EXTERNAL]),
    inspector=one_of(config["inspectors"]),
    backbone=one_of(config["backbones"]),
    llm=one_of(config["llms"]),
    dataset=one_of(config["datasets"]),
    external=one_of(config["external"]),
    system=one_of(["squad", "squad-paper", "squad-conditioned"]),
    reference=one_of(REFERENCES),
    shard=r"\d+",


def fingerprint(rule, *settings, **more):
    """Return the param that makes a job run again when its code or one of its settings changes.

    A setting is a wildcard or a key of config.yaml, or a key below one: `synthesis.topics`. One
    that is neither is given as a function of the wildcards.
    """

    def of(wildcards):
        own = {name: setting(wildcards) for name, setting in more.items()}
        names = {**config, **wildcards, **own}
        values = {
            name: aligners.configuration.fingerprint.deciding_setting(name, names)
            for name in [*settings, *own]
        }
        return aligners.configuration.fingerprint.fingerprint(rule, values)

    return of


def earlier_splits(wildcards):
    """Return the splits of the criteria that come before this one in the configuration."""
    earlier = CRITERIA[: CRITERIA.index(wildcards.criterion)]
    return expand("results/synthetic/{criterion}/split.jsonl", criterion=earlier)


def aligner_rows(side):
    """Return the input function for an aligner's rows: its criterion's, else those of all."""

    def of(wildcards):
        own = [wildcards.aligner] if wildcards.aligner in CRITERIA else CRITERIA
        return expand(
            "results/synthetic/{criterion}/aligner/{side}.jsonl",
            criterion=own,
            side=side,
        )

    return of


def input_format(wildcards):
    """Return the input format of the external aligner that is trained; else ours is."""
    if wildcards.aligner not in TRAINED_EXTERNAL:
        return ""
    return load_recipe("external", wildcards.aligner)["input_format"]


def conditions(wildcards):
    """Return the criteria whose principles a job's aligner reads: all if it is conditioned."""
    names = {wildcards.get("aligner"), wildcards.get("system")}
    return CRITERIA if names & set(CONDITIONED) else []


def principles(wildcards):
    """Return the principles that a job's aligner reads, as text by criterion."""
    return {criterion: numbered(load_principles(criterion)) for criterion in conditions(wildcards)}


def passes(wildcards):
    """Return the criteria by which an aligner alone corrects, a pass for each."""
    return conditions(wildcards) or wildcards.aligner


def squad_models(wildcards):
    """Return the aligner of each criterion in a squad; the conditioned one is that of all."""
    own = ["conditioned"] * len(CRITERIA) if conditions(wildcards) else CRITERIA
    return [f"results/aligners/{wildcards.backbone}/{aligner}/model" for aligner in own]


def external_model(wildcards):
    """Return the model of an external aligner that the workflow trains; a released one has none."""
    train = load_recipe("external", wildcards.external).get("train")
    return expand(
        "results/aligners/{backbone}/{external}/model",
        backbone=train["backbone"] if train else [],
        external=wildcards.external,
    )


def near_copies(wildcards):
    """Return by criterion from which similarity on a correction is a near copy."""
    return {
        criterion: load_recipe("criteria", criterion)["near_copy_similarity"]
        for criterion in CRITERIA
    }


def partner(llm):
    """Return the finetuned partner of a base LLM."""
    return load_recipe("llms", llm)["finetuned"]


def reference_answers(wildcards):
    """Return the answers that a system is compared with."""
    if wildcards.reference in config["external"]:
        return "results/external/{dataset}/{llm}/{reference}.jsonl"
    llm = wildcards.llm if wildcards.reference == "base" else partner(wildcards.llm)
    return f"results/responses/{wildcards.dataset}/{llm}.jsonl"


def reference_name(wildcards):
    """Return the name of the generator that a system is compared with."""
    if wildcards.reference in config["external"]:
        return f"{wildcards.llm}+{wildcards.reference}"
    return wildcards.llm if wildcards.reference == "base" else partner(wildcards.llm)


STAGES = {
    "synthetic": [
        "results/synthetic/{criterion}/topics.jsonl",
        "results/synthetic/{criterion}/topics_deduplicated.jsonl",
        "results/synthetic/{criterion}/questions.jsonl",
        "results/synthetic/{criterion}/questions.csv",
        "results/synthetic/{criterion}/pairs.jsonl",
        "results/synthetic/{criterion}/split.jsonl",
        "results/synthetic/{criterion}/pairs_filtered.jsonl",
        "results/synthetic/{criterion}/pairs_similarity.jsonl",
        "results/synthetic/{criterion}/pairs_similarity.png",
        "results/synthetic/{criterion}/{kind}/{side}.jsonl",
    ],
    "inspectors": [
        "results/inspectors/{inspector}/{criterion}/model",
        "results/inspectors/{inspector}/{criterion}/metrics.json",
        "results/inspectors/{inspector}/{criterion}/test_scores.jsonl",
        "results/inspectors/{inspector}/{criterion}/losses.png",
    ],
    "aligners": [
        "results/aligners/{backbone}/{aligner}/model",
        "results/aligners/{backbone}/{aligner}/metrics.json",
        "results/aligners/{backbone}/{aligner}/losses.png",
    ],
    "responses": ["results/responses/{dataset}/{llm}.jsonl"],
    "aligned": ["results/aligned/{dataset}/{base_llm}/{backbone}/{system}.jsonl"],
    "external": ["results/external/{dataset}/{base_llm}/{external}.jsonl"],
    "alpaca_eval": [
        "results/alpaca_eval/{dataset}/{base_llm}/{backbone}/{system}/{reference}/model_outputs.json",
        "results/alpaca_eval/{dataset}/{base_llm}/{backbone}/{system}/{reference}/reference_outputs.json",
    ],
}


STAGE_NAMES = {
    "criterion": CRITERIA,
    "kind": ["aligner", "inspector"],
    "side": ["train", "validation", "test"],
    "inspector": config["inspectors"],
    "aligner": ALIGNERS,
    "backbone": config["backbones"],
    "dataset": config["datasets"],
    "llm": config["llms"],
    "base_llm": BASE_LLMS,
    "external": config["external"],
    "system": SYSTEMS,
    "reference": REFERENCES,
    "judge": config["judges"],
}


def stage_files(wildcards):
    """Return every file of a stage."""
    return expand(STAGES[wildcards.stage], **STAGE_NAMES)


def names_json(*fields, **own):
    """Return names of the experiment by field as JSON; `own` names take their place.

    A program that is given names finds its files by the patterns of results.py: its command line
    does not grow with the number of files.
    """
    names = {**EXPERIMENT.names, "hub_model": list(EXPERIMENT.hub_models), **own}
    return json.dumps({field: names[field] for field in [*fields, *own]})
