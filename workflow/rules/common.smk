"""Shared by all rules: the experiment, and helpers for commands, fingerprints, logs and files."""

import json
import re

from aligners.closed_world.world import load_world
from aligners.configuration import results
from aligners.configuration.criteria import (
    languages_of,
    load_principles,
    load_question_types,
    numbered,
)
from aligners.configuration.experiment import (
    Experiment,
    check_experiment,
    has_seed_questions,
    imports_of,
    record_experiment,
    teachers,
)
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.fingerprint import deciding_setting, fingerprint
from aligners.configuration.kinds.datasets import DatasetRecipe
from aligners.configuration.kinds.llms import ClosedWorldRecipe, LLMRecipe
from aligners.configuration.recipes import KINDS, WILDCARDS, load_recipe
from aligners.configuration.seeds import name_with_seed, names_with_seeds, recipe_of, seed_of
from aligners.configuration.systems import CONDITIONED, SQUAD, SQUAD_PAPER, SQUADS, is_conditioned
from aligners.configuration.workflow_files import WORKFLOW
from aligners.core.hashes import content_hash

# Jobs use the Python that runs Snakemake, even if its environment is not activated.
os.environ.update(PATH=os.pathsep.join([str(Path(sys.executable).parent), *os.get_exec_path()]))

try:
    CONFIG = validate_experiment(config, *CONFIG_FILES)
    config.update(CONFIG.model_dump(mode="json"))
    for criterion in config["criteria"]:
        load_principles(criterion)
        if has_seed_questions(criterion):
            load_question_types(criterion)
    for llm in {*teachers(CONFIG), *CONFIG.responses_by, *CONFIG.llms}:
        if isinstance(recipe := load_recipe(LLMRecipe, llm), ClosedWorldRecipe):
            load_world(recipe.world)
    EXPERIMENT = Experiment(CONFIG)
    GGUF_FILES = EXPERIMENT.gguf_files
except UserError as error:
    raise WorkflowError(str(error))

# A dry run continues after this warning; a real run stops before its first job (`onstart`).
try:
    check_experiment(config["name"])
except UserError as error:
    logger.warning(f"A real run would stop: {error}")

CRITERIA = config["criteria"]
GENERATED = EXPERIMENT.names["generated"]  # criteria for which the teacher writes questions
CORRECTED = EXPERIMENT.names["corrected"]  # criteria for which it writes pairs
IMPORTING = EXPERIMENT.names["importing"]  # criteria with data of one's own
LABELLED = EXPERIMENT.names["labelled"]  # those with labelled rows among them
INSPECTOR = config["inspectors"][0]
SEEDS = config["seeds"]
SYNTHETIC_DATASETS = [
    name for name in CONFIG.datasets if load_recipe(DatasetRecipe, name).source == "synthetic"
]
IMPORTED_DATASETS = [name for name in config["datasets"] if name not in SYNTHETIC_DATASETS]

# Conda environments of the rules, used with `--sdm conda`.
DATA = "../../envs/data.yaml"
MODELS = "../../envs/models.yaml"


def one_of(names):
    """Return a wildcard constraint that matches only these names."""
    return "|".join(map(re.escape, names)) or "(?!)"


wildcard_constraints:
    criterion=one_of(CRITERIA),
    aligner=one_of([*CRITERIA, CONDITIONED, *EXPERIMENT.trained_external]),
    inspector=one_of(EXPERIMENT.names["inspector"]),
    backbone=one_of(EXPERIMENT.names["backbone"]),
    llm=one_of(config["llms"]),
    dataset=one_of(config["datasets"]),
    external=one_of(config["external"]),
    system=one_of(SQUADS),
    reference=one_of(EXPERIMENT.references),
    judge=one_of(config["judges"]),
    imported=one_of(EXPERIMENT.names["imported"]),
    hub_model=one_of(EXPERIMENT.hub_models),
    stage=one_of(results.STAGES),
    shard=r"\d+",


def program(script, *settings, command=None, **derived):
    """Return the params of a job: its command, its settings, and the fingerprint.

    A job runs again when its fingerprint changes. The fingerprint covers the program's code and
    the settings.

    Args:
        script: name of the program, which is the rule's name.
        settings: wildcards, or keys of config.yaml, which become params. A dot selects a key below:
            `seed`, `shards.pairs`, `synthesis.topics` (a key of the recipe), `backbone`.
        command: function that returns the command as a list; by default, Python runs the program.
        derived: other values that decide the result, as functions of the wildcards.
    """

    def fingerprint_of(wildcards):
        own = {name: derive(wildcards) for name, derive in derived.items()}
        recipes = {field: recipe_of(name) for field, name in wildcards.items()}
        names = {**config, **recipes, **own}
        values = {name: deciding_setting(name, names) for name in [*settings, *own]}
        return fingerprint(script, values)

    return {
        **dict(map(setting, filter(is_param, settings))),
        "fingerprint": fingerprint_of,
        "command": command or python_command(script),
    }


def is_param(name):
    """Return whether a setting is a key of config.yaml and not a wildcard."""
    head = name.split(".")[0]
    return head in config and head not in WILDCARDS


def setting(name):
    """Return the name and the value of a param; the value for a recipe is the recipe's name.

    A missing value is an empty text, because a command line has no null.
    """
    head, *keys = name.split(".")
    value = config[head]
    for key in keys if head not in KINDS else []:
        value = value[key]
    return head, "" if value is None else value


def log_of(job):
    """Return the log of a job, named by rule and wildcards, such as `split_questions/{criterion}`."""
    return f"logs/{job}.log"


def benchmark_of(job):
    """Return the benchmark file of a job, with its time and memory."""
    return f"logs/{job}.benchmark.tsv"


def outputs_beside(rows, *beside):
    """Return the outputs beside a file of rows: dropped rows, counts, and for instance usage."""
    files = {"dropped": "dropped.jsonl", "counts": "counts.json"}
    files.update({name: f"{name}.json" for name in beside})
    return {name: rows.beside(ending) for name, ending in files.items()}


def shards_of(rows, count):
    """Return the inputs for gathering shards: their rows, and the files beside them."""
    shards = [rows.fill(shard=str(number)) for number in range(count)]
    endings = ["dropped.jsonl", "counts.json", "usage.json"]
    beside = [shard.beside(ending) for shard in shards for ending in endings]
    return {"shards": shards, "beside": beside}


def names_json(*fields, **own):
    """Return the names of the experiment by field as JSON; names in `own` take precedence.

    A program builds its paths from these names and the patterns of results.py. So its command line
    does not grow with the number of files.
    """
    names = {**EXPERIMENT.names, "hub_model": list(EXPERIMENT.hub_models), **own}
    return json.dumps({field: names[field] for field in [*fields, *own]})
