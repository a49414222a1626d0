"""The experiment: a validated configuration, the names that it spans, and whose results/ it is."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from aligners.configuration import results
from aligners.configuration.recipes import (
    KINDS,
    check_recipe,
    is_on_the_hub,
    load_recipe,
    recipe_path,
)
from aligners.configuration.results import ResultPath
from aligners.configuration.schemas import Recipe, validate
from aligners.configuration.systems import SQUAD, SYSTEMS, aligners_of
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json

RESERVED = {"all", "base", "finetuned", *SYSTEMS}
# What the prompt of a judge has a place for.
JUDGED_TEXTS = ("{instruction}", "{output_1}", "{output_2}")
RECORD = results.EXPERIMENT_RECORD.path()
SECTIONS = ("data", "inspectors", "aligners", "squad", "comparisons")
TABLES = ("win_rates", "categories", "ablations", "thresholds", "paired_tests")


class Experiment:
    """The names that a configuration spans, and the files under results/ that they make.

    Attributes:
        config: a validated configuration.
        names: the names that stand for each name in braces of a path: `llm` for base LLMs,
            `answering` for all LLMs, `traced` for the backbones of `traced`.
        traced: backbones whose squad is traced: what it would do at lower thresholds.
    """

    def __init__(self, config: Recipe):
        """Take a validated configuration (`validate_experiment`)."""
        self.config = config
        self.systems = [*config["criteria"], *config["systems"]]
        self.squads = [name for name in config["systems"] if SYSTEMS[name].squad]
        self.references = ["base", "finetuned", *config["external"]]
        self.traced = config["backbones"] if SQUAD.name in self.systems else []
        self.names: dict[str, Sequence[str]] = {
            "criterion": config["criteria"],
            "kind": ["aligner", "inspector"],
            "side": ["train", "validation", "test"],
            "inspector": config["inspectors"],
            "aligner": aligners_of(config["systems"], config["criteria"]),
            "backbone": config["backbones"],
            "dataset": config["datasets"],
            "llm": base_llms(config),
            "external": config["external"],
            "system": self.systems,
            "reference": self.references,
            "judge": config["judges"],
            "table": TABLES,
            "form": ["csv", "md", "tex"],
            "section": SECTIONS,
            "answering": config["llms"],
            "traced": self.traced,
        }

    @cached_property
    def hub_models(self) -> dict[str, Recipe]:
        """The recipes that name a model of the Hub, by `<kind>/<name>`."""
        used = [
            ("llms", name) for name in dict.fromkeys([self.config["teacher"], *self.config["llms"]])
        ]
        used.append(("encoders", self.config["encoder"]))
        for kind in ("inspectors", "backbones", "external"):
            used += [(kind, name) for name in self.config[kind]]
        used += [judge_model(name) for name in self.config["judges"]]
        recipes = {f"{kind}/{name}": load_recipe(kind, name) for kind, name in used}
        return {name: recipe for name, recipe in recipes.items() if is_on_the_hub(recipe)}

    @cached_property
    def trained_external(self) -> dict[str, str]:
        """The backbone of each external aligner that is trained, by the aligner's name."""
        recipes = {name: load_recipe("external", name) for name in self.config["external"]}
        return {
            name: recipe["train"]["backbone"]
            for name, recipe in recipes.items()
            if recipe.get("train")
        }

    def files(self, pattern: ResultPath, **names: Sequence[str]) -> list[Path]:
        """Return the files of a pattern for all names of the experiment, or for those given."""
        own: dict[str, Sequence[str]] = results.spanned(pattern, self.names)
        if pattern == results.MODEL_RECORD:
            own["hub_model"] = list(self.hub_models)
        return pattern.paths({**own, **names})

    def aligner_files(self, pattern: ResultPath) -> list[Path]:
        """Return the files of a pattern for all trained aligners: ours, then external ones."""
        external = self.trained_external.items()
        return self.files(pattern) + [
            pattern.path(backbone=backbone, aligner=name) for name, backbone in external
        ]

    def stage_files(self, stage: str) -> list[Path]:
        """Return the files that the `all` of a stage lists."""
        return [path for pattern in results.STAGES[stage] for path in self.files(pattern)]


def judge_model(judge: str) -> tuple[str, str]:
    """Return kind and name of the recipe of the model that judges: an LLM's, or the judge's own."""
    recipe = load_recipe("judges", judge)
    return ("llms", recipe["llm"]) if "llm" in recipe else ("judges", judge)


def base_llms(config: Recipe) -> list[str]:
    """Return the LLMs of a configuration that are aligned: those with a finetuned partner."""
    return [name for name in config["llms"] if load_recipe("llms", name).get("finetuned")]


def validate_experiment(config: dict[str, Any], source: Path) -> Recipe:
    """Validate a configuration, every recipe that it names, and how they fit together.

    Raises:
        UserError: on the first thing that is wrong.
    """
    config = validate("config", config, source)
    for key, kind in KINDS.items():
        names = config[key] if isinstance(config[key], list) else [config[key]]
        for name in names:
            if name in RESERVED:
                raise UserError(f"{source}, key {key}: {name!r} is a reserved word; rename it")
            check_recipe(kind, name, f"{source}, key {key}")
            load_recipe(kind, name)
    for kind in ("backbones", "external"):
        for name in config[kind]:
            check_lengths(kind, name)
    check_names_differ(config, source)
    check_systems(config, source)
    check_partners(config, source)
    for name in config["judges"]:
        check_judge_recipe(name)
    check_split(config, source)
    return config


def check_lengths(kind: str, name: str) -> None:
    """Refuse a recipe whose new tokens leave no room for the prompt."""
    recipe = load_recipe(kind, name)
    limit, new = recipe["max_tokens"], recipe["decoding"]["max_new_tokens"]
    if new >= limit:
        raise UserError(
            f"{recipe_path(kind, name)}, key decoding.max_new_tokens: {new} new tokens leave no "
            f"room for the prompt in max_tokens {limit}; lower it"
        )


def check_names_differ(config: Recipe, source: Path) -> None:
    """Refuse a criterion and an external aligner of one name: both name aligners in paths."""
    for name in set(config["criteria"]) & set(config["external"]):
        raise UserError(f"{source}: {name!r} is a criterion and an external aligner; rename one")


def check_partners(config: Recipe, source: Path) -> None:
    """Refuse a base LLM without a finetuned chat LLM, and a trained external without backbone."""
    for name in base_llms(config):
        partner = load_recipe("llms", name)["finetuned"]
        if partner not in config["llms"]:
            raise UserError(
                f"{source}, key llms: {name} needs its finetuned partner {partner}; add it"
            )
        if not load_recipe("llms", partner)["chat"]:
            raise UserError(
                f"{recipe_path('llms', name)}, key finetuned: {partner} is no chat LLM; "
                "name one, or set chat: true in its recipe"
            )
    if not base_llms(config):
        raise UserError(
            f"{source}, key llms: none of them names a finetuned partner; add a base LLM"
        )
    for name in config["external"]:
        train = load_recipe("external", name).get("train")
        if train and train["backbone"] not in config["backbones"]:
            raise UserError(
                f"{source}, key backbones: the external aligner {name} is trained on "
                f"{train['backbone']}; add it"
            )


def check_judge_recipe(name: str) -> None:
    """Refuse a judge whose LLM cannot be asked as AlpacaEval asks, or whose prompt lacks a text."""
    recipe, path = load_recipe("judges", name), recipe_path("judges", name)
    if "llm" not in recipe:
        return
    check_recipe("llms", recipe["llm"], f"{path}, key llm")
    llm = load_recipe("llms", recipe["llm"])
    if llm["engine"] not in ("openai", "served") or not llm["chat"]:
        raise UserError(
            f"{path}, key llm: {recipe['llm']} is not asked by messages over OpenAI's API; name an "
            "LLM with chat: true whose engine is openai or served"
        )
    labels = list(recipe["labels"].values())
    for label in labels:
        if sum(label in other for other in labels) > 1:
            raise UserError(
                f"{path}, key labels: {label!r} stands in another label as well; take labels that "
                "cannot be mistaken for each other"
            )
    prompt = Path(recipe["prompt"]).read_text(encoding="utf-8")
    for text in JUDGED_TEXTS:
        if prompt.count(text) != 1:
            raise UserError(
                f"{path}, key prompt: {recipe['prompt']} has {text} {prompt.count(text)} times; it "
                "has to be there once"
            )


def check_split(config: Recipe, source: Path) -> None:
    """Refuse shares of the split that do not add up to one."""
    total = sum(config["split"].values())
    if abs(total - 1) > 1e-9:
        raise UserError(f"{source}, key split: the shares add up to {total:g}; make it 1")


def check_systems(config: Recipe, source: Path) -> None:
    """Refuse an unknown system."""
    for place, name in enumerate(config["systems"]):
        if name not in SYSTEMS:
            raise UserError(
                f"{source}, key systems.{place}: {name!r} is unknown; "
                f"it is one of {', '.join(SYSTEMS)}"
            )


def check_experiment(name: str) -> None:
    """Refuse to go on in results/ that another experiment made.

    Raises:
        UserError: says how to keep both.
    """
    if RECORD.exists() and (other := read_json(RECORD)["name"]) != name:
        raise UserError(
            f"results/ was made by the experiment {other!r}, and this is {name!r}. To keep both, "
            f"move it away first: mv results results-{other}. To continue {other!r}, give its "
            "configuration with --configfile"
        )


def record_experiment(name: str) -> None:
    """Note in results/ which experiment makes it.

    Raises:
        UserError: another one made what is there.
    """
    check_experiment(name)
    if not RECORD.exists():
        write_json(RECORD, {"name": name})
