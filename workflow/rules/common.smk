"""What all rules share: the validated configuration, names and choices, and the fingerprint."""

import functools
import os
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

sys.path.insert(0, "workflow/scripts")

import aligners.fingerprint
from aligners.criteria import load_principles, load_question_types, numbered
from aligners.errors import UserError
from aligners.experiment import check_experiment, record_experiment
from aligners.recipes import base_llms, is_on_the_hub, load_recipe, validate_experiment
from aligners.slurm import Demand, check_demands, check_status_command, warn_of_preemption

# Compute nodes often have no network: what their jobs need was fetched before.
if workflow.remote_exec:
    os.environ.setdefault("HF_HUB_OFFLINE", "1")

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


USED_RECIPES = [
    *[("llms", name) for name in dict.fromkeys([config["teacher"], *config["llms"]])],
    ("encoders", config["encoder"]),
    *[(kind, name) for kind in ["inspectors", "backbones", "external"] for name in config[kind]],
]
HUB_MODELS = {
    f"{kind}/{name}": load_recipe(kind, name)
    for kind, name in USED_RECIPES
    if is_on_the_hub(load_recipe(kind, name))
}


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
    hub_model=one_of(HUB_MODELS),


def fingerprint(rule, *settings, **more):
    """Return the param that makes a job run again when its code or one of its settings changes.

    A setting is a wildcard or a key of config.yaml, or a key below one: `synthesis.topics`. One
    that is neither is given as a function of the wildcards.
    """

    def of(wildcards):
        own = {name: setting(wildcards) for name, setting in more.items()}
        names = {**config, **wildcards, **own}
        values = {
            name: aligners.fingerprint.deciding_setting(name, names) for name in [*settings, *own]
        }
        return aligners.fingerprint.fingerprint(rule, values)

    return of


def fetched(kind, name):
    """Return the input function for the record of a recipe's model; one not of the Hub has none.

    The recipe's name is a wildcard or a key of config.yaml. Its record is to be there, however old.
    """

    def of(wildcards):
        model = f"{kind}/{ {**config, **wildcards}[name]}"
        if model not in HUB_MODELS:
            return []
        warn_if_missing(model)
        return f"results/models/{model}.json"

    return ancient(of)


@functools.cache
def warn_if_missing(model):
    """Warn, and say why, if a model cannot be had as the environment says there is no network."""
    if not os.environ.get("HF_HUB_OFFLINE") or workflow.remote_exec:
        return ""
    from aligners.hub import check_fetched

    try:
        check_fetched(HUB_MODELS[model], model)
    except UserError as error:
        logger.warning(f"A real run would stop: {error}")
        return str(error)
    return ""


def hub_recipe(wildcards):
    """Return what decides which files of a model are fetched."""
    recipe = HUB_MODELS[wildcards.hub_model]
    return {key: recipe.get(key) for key in ["model", "revision", "weights"]}


def check_models():
    """Refuse, before the first job, models that are to be fetched where there is no network."""
    for job in workflow.dag.needrun_jobs():
        if job.rule.name == "fetch_model":
            if problem := warn_if_missing(job.wildcards.hub_model):
                raise UserError(problem)


def lease_gpus(wildcards, resources):
    """Return the command that leases a job its GPUs where no scheduler gives it some.

    A param that depends on resources makes no job run again: GPUs change the time alone.
    """
    gpus = resources.get("gpu", 0)
    if workflow.remote_exec or not gpus:
        return []
    return ["python", "workflow/scripts/lease_gpus.py", gpus]


def launch(kind, recipe):
    """Return the command that launches a training on the nodes and GPUs that the profile gives."""

    def of(wildcards, resources, threads):
        nodes = resources.get("nodes", 1)
        gpus = resources.get("gpu", 0) if nodes == 1 else resources.gpus_per_node
        several = load_recipe(kind, wildcards[recipe])["accelerate"]
        name = ("cpu", "single")[gpus] if nodes * gpus < 2 else several
        options = [
            "--quiet",
            f"--config_file=config/accelerate/{name}.yaml",
            f"--num_machines={nodes}",
            f"--num_processes={max(nodes * gpus, 1)}",
            f"--num_cpu_threads_per_process={max(threads // max(gpus, 1), 1)}",
        ]
        if nodes == 1:
            # A free port: two jobs may run on one node.
            lease = lease_gpus(wildcards, resources)
            return [*lease, "accelerate", "launch", *options, "--main_process_port=0"]
        on_each_node = [f"--nodes={nodes}", f"--ntasks={nodes}", f"--gpus-per-node={gpus}"]
        program = "workflow/scripts/launch_on_node.py"
        return [resources.mpi, *on_each_node, "python", program, *options]

    return of


def demand(job):
    """Return what a job asks of a node of a cluster."""

    def amount(name, default=0):
        # What depends on inputs that are not made yet is no number.
        value = job.resources.get(name, default)
        return value if isinstance(value, int) else default

    return Demand(
        job.rule.name,
        partition=job.resources.get("slurm_partition"),
        account=job.resources.get("slurm_account"),
        gpus=amount("gpu") // amount("nodes", 1) + amount("gpus_per_node"),
        cpus=job.threads,
        memory=amount("mem_mb"),
        minutes=amount("runtime"),
    )


def check_cluster():
    """Refuse, before the first job, jobs that the cluster can never run."""
    if workflow.executor_plugin.name == "slurm":
        check_status_command(workflow.executor_settings.status_command)
        queued = [job for job in workflow.dag.needrun_jobs() if not workflow.is_local(job.rule)]
        demands = [demand(job) for job in queued]
        check_demands(demands)
        warn_of_preemption({each.partition for each in demands})


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
    "models": [f"results/models/{name}.json" for name in HUB_MODELS],
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


def stage_files(wildcards):
    """Return every file of a stage."""
    return expand(
        STAGES[wildcards.stage],
        criterion=CRITERIA,
        kind=["aligner", "inspector"],
        side=["train", "validation", "test"],
        inspector=config["inspectors"],
        aligner=ALIGNERS,
        backbone=config["backbones"],
        dataset=config["datasets"],
        llm=config["llms"],
        base_llm=BASE_LLMS,
        external=config["external"],
        system=SYSTEMS,
        reference=REFERENCES,
    )
