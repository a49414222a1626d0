"""The experiment: its validated configuration, its files, and the check of results/ for it."""

import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from pydantic import BaseModel

from aligners.configuration import results
from aligners.configuration.fields import Recipe
from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.kinds.external import (
    ExternalRecipe,
    TrainedExternalRecipe,
)
from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.kinds.inspectors import InspectorRecipe
from aligners.configuration.kinds.judges import JudgeRecipe, LLMJudgeRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.pretrained import ModelSource
from aligners.configuration.recipes import (
    gguf_file,
    hub_source,
    load_recipe,
)
from aligners.configuration.results import ResultPath
from aligners.configuration.seeds import names_with_seeds
from aligners.configuration.systems import LLM_REFERENCES, SQUAD, SYSTEMS, aligners_of
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json
from aligners.imports.formats import KINDS_TO_CORRECT, Kind

RESERVED = {"all", "initial", *LLM_REFERENCES, *SYSTEMS}
RECORD = results.EXPERIMENT_RECORD.path()


class ExperimentRecord(BaseModel):
    """The content of the record in results/."""

    name: str


SECTIONS = ("data", "inspectors", "aligners", "squad", "comparisons")
TABLES = ("win_rates", "categories", "ablations", "thresholds", "paired_tests")


class Experiment:
    """The names in a configuration, and the files under results/ that follow from them.

    Attributes:
        config: a validated configuration.
        names: the values of each name in braces of a path: `llm` for base LLMs,
            `answering` for all LLMs, `traced` for the backbones of `traced`, `imported` for
            imports. Criteria: `generated` for those with questions of the teacher, `corrected` for
            those with its pairs, `importing` for those with imports, `labelled` for those with
            imported labels. Inspectors and
            backbones have a name for each training seed (`aligners.configuration.seeds`).
        traced: backbones whose squad is also evaluated at lower thresholds: those of the first
            training seed, because each threshold needs verdicts of its own.
    """

    def __init__(self, config: Config):
        """Take a validated configuration (`validate_experiment`)."""
        self.config = config
        self.systems = [*config.criteria, *config.systems]
        self.squads = [name for name in config.systems if SYSTEMS[name].squad]
        self.references = [*LLM_REFERENCES, *config.external]
        self.traced = config.backbones if SQUAD.name in self.systems else []
        self.names: dict[str, Sequence[str]] = {
            "criterion": config.criteria,
            "generated": [name for name in config.criteria if has_seed_questions(name)],
            "corrected": [name for name in config.criteria if needs_teacher(config, name)],
            "importing": [name for name in config.criteria if imports_of(config, name)],
            "labelled": [name for name in config.criteria if "labels" in kinds_of(config, name)],
            "imported": list(
                dict.fromkeys(one for name in config.criteria for one in imports_of(config, name))
            ),
            "kind": ["aligner", "inspector"],
            "side": ["train", "validation", "test"],
            "inspector": names_with_seeds(config.inspectors, config.seeds),
            "aligner": aligners_of(config.systems, config.criteria),
            "backbone": names_with_seeds(config.backbones, config.seeds),
            "dataset": config.datasets,
            "llm": base_llms(config),
            "external": config.external,
            "system": self.systems,
            "squad": self.squads,
            "reference": self.references,
            "judge": config.judges,
            "table": TABLES,
            "form": ["csv", "md", "tex"],
            "section": SECTIONS,
            "answering": config.llms,
            "traced": self.traced,
        }

    @cached_property
    def recipes(self) -> dict[str, Recipe]:
        """The recipes that may name a pretrained model, by `<kind>/<name>`."""
        config = self.config
        llms = dict.fromkeys([*teachers(config), *config.responses_by, *config.llms])
        used: list[tuple[type[Recipe], str]] = [(LLMRecipe, name) for name in llms]
        used.append((EncoderRecipe, config.encoder))
        used += [(InspectorRecipe, name) for name in config.inspectors]
        used += [(BackboneRecipe, name) for name in config.backbones]
        used += [(ExternalRecipe, name) for name in config.external]
        used += [judge_model(name) for name in config.judges]
        return {f"{kind.folder}/{name}": load_recipe(kind, name) for kind, name in used}

    @cached_property
    def hub_models(self) -> dict[str, ModelSource]:
        """The models of the Hub that recipes name, by `<kind>/<name>` of the recipe."""
        sources = {name: hub_source(recipe) for name, recipe in self.recipes.items()}
        return {name: source for name, source in sources.items() if source}

    @cached_property
    def gguf_files(self) -> dict[str, Path]:
        """The GGUF files that recipes name, by their names without .gguf.

        Raises:
            UserError: two have the same name, or one is in a Python package that is not installed.
        """
        files: dict[str, Path] = {}
        for name, recipe in self.recipes.items():
            path = gguf_file(recipe)
            if path and files.setdefault(path.stem, path) != path:
                raise UserError(
                    f"config/{name}.yaml: another recipe names {files[path.stem]}, a GGUF file of "
                    "the same name; rename one of the files"
                )
        return files

    @cached_property
    def trained_external(self) -> dict[str, str]:
        """The backbone of each external aligner that is trained, by the aligner's name."""
        recipes = {name: load_recipe(ExternalRecipe, name) for name in self.config.external}
        return {
            name: recipe.train.backbone
            for name, recipe in recipes.items()
            if isinstance(recipe, TrainedExternalRecipe)
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


def judge_model(judge: str) -> tuple[type[Recipe], str]:
    """Return kind and name of the recipe of the model that judges: an LLM's, or the judge's own."""
    recipe = load_recipe(JudgeRecipe, judge)
    return (LLMRecipe, recipe.llm) if isinstance(recipe, LLMJudgeRecipe) else (JudgeRecipe, judge)


def has_seed_questions(criterion: str) -> bool:
    """Return whether the teacher writes questions for a criterion."""
    return load_recipe(CriterionRecipe, criterion).seed_questions is not None


def imports_of(config: Config, criterion: str) -> list[str]:
    """Return the imports that a criterion uses: its own, then those of all criteria."""
    return list(dict.fromkeys([*load_recipe(CriterionRecipe, criterion).data, *config.data]))


def kinds_of(config: Config, criterion: str) -> set[Kind]:
    """Return the kinds of the imports that a criterion uses."""
    return {load_recipe(ImportRecipe, name).kind for name in imports_of(config, criterion)}


def needs_teacher(config: Config, criterion: str) -> bool:
    """Return whether the teacher writes pairs of a criterion: for its own or given questions."""
    to_correct = kinds_of(config, criterion).intersection(KINDS_TO_CORRECT)
    return has_seed_questions(criterion) or bool(to_correct)


def teachers(config: Config) -> list[str]:
    """Return the teacher as a list; an empty one if the configuration has none."""
    return [config.teacher] if config.teacher else []


def base_llms(config: Config) -> list[str]:
    """Return the LLMs of a configuration that are aligned: those with a finetuned partner."""
    return [name for name in config.llms if load_recipe(LLMRecipe, name).finetuned]


def check_experiment(name: str) -> None:
    """Check that results/ does not contain the results of another experiment.

    Raises:
        UserError: it does, or its record is damaged; the message describes how to keep both.
    """
    if not os.path.exists(RECORD):
        return
    try:
        other = read_json(RECORD, ExperimentRecord)["name"]
    except UserError:
        raise UserError(
            f"{RECORD}: damaged; it contains the name of the experiment that made the results. If "
            f'that was {name!r}, replace it by a file with the line {{"name": "{name}"}}. '
            "Otherwise rename the directory first: mv results results-old"
        ) from None
    if other != name:
        raise UserError(
            f"results/ has the results of the experiment {other!r}, but the configuration has "
            f"name: {name!r}. To keep both, rename the directory first: mv results "
            f"results-{other}. To continue {other!r}, run with its configuration (--configfile)"
        )


def record_experiment(name: str) -> None:
    """Record in results/ the name of the experiment.

    Raises:
        UserError: results/ has the results of another experiment, or cannot be written.
    """
    check_experiment(name)
    if os.path.exists(RECORD):
        return
    try:
        write_json(RECORD, {"name": name})
    except OSError as error:
        raise UserError(
            f"{RECORD}: cannot be written ({error.strerror}); make {RECORD.parent} a directory in "
            "which you can write"
        ) from None
