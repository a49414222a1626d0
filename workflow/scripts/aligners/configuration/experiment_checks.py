"""Checks of a configuration: its recipes exist, are valid, and fit together."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aligners.configuration.experiment import (
    RESERVED,
    base_llms,
    has_seed_questions,
    imports_of,
    needs_teacher,
)
from aligners.configuration.fields import Recipe
from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.external import (
    ExternalRecipe,
    ReleasedExternalRecipe,
    TrainedExternalRecipe,
)
from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.kinds.judges import JudgeRecipe, LLMJudgeRecipe
from aligners.configuration.kinds.llms import LLMRecipe, ServerRecipe
from aligners.configuration.kinds.pretrained import PretrainedRecipe
from aligners.configuration.named_recipes import named_recipes
from aligners.configuration.recipes import check_recipe, load_recipe, recipe_path
from aligners.configuration.validation import place, validate
from aligners.core.errors import UserError


def validate_experiment(values: dict[str, Any], *sources: Path) -> Config:
    """Validate a configuration, every recipe that it names, and how they fit together.

    Args:
        values: of the configuration files, merged.
        sources: the files; the first one overrides the others.

    Raises:
        UserError: describes the first error.
    """
    config = validate(Config, values, *sources)
    for key, kind, name in named_recipes(config):
        where = place((key,), sources)
        if name in RESERVED:
            raise UserError(f"{where}: {name!r} is a reserved word; rename the recipe")
        check_recipe(kind, name, where)
        recipe = load_recipe(kind, name)
        if isinstance(recipe, PretrainedRecipe):
            check_package(recipe, recipe_path(kind, name))
    check_imports(config, sources)
    check_teacher(config, sources)
    check_lengths(config)
    check_names_differ(config, sources)
    check_partners(config, sources)
    for name in config.judges:
        check_judge_recipe(name)
    return config


def check_package(recipe: PretrainedRecipe, path: Path) -> None:
    """Check that the Python package of a model is installed and has the model.

    Raises:
        UserError: it is not, or it lacks the model.
    """
    try:
        recipe.local_files()
    except UserError as error:
        raise UserError(f"{place(('model',), [path])}: {error}") from None


def check_imports(config: Config, sources: Sequence[Path]) -> None:
    """Check that the imports of criteria exist, and that each criterion has data.

    Raises:
        UserError: an import does not exist or is not valid, or a criterion has no data.
    """
    for criterion in config.criteria:
        path = recipe_path(CriterionRecipe, criterion)
        for name in load_recipe(CriterionRecipe, criterion).data:
            check_recipe(ImportRecipe, name, place(("data",), [path]))
        for name in imports_of(config, criterion):
            load_recipe(ImportRecipe, name)
        if not (has_seed_questions(criterion) or imports_of(config, criterion)):
            raise UserError(
                f"{path}: no data; add the key seed_questions, for data that the teacher writes, "
                "or the key data, with imports of your own (docs/your-own-data.md)"
            )


def check_teacher(config: Config, sources: Sequence[Path]) -> None:
    """Check that there is a teacher if a criterion needs one.

    Raises:
        UserError: there is none.
    """
    taught = [name for name in config.criteria if needs_teacher(config, name)]
    if taught and config.teacher is None:
        raise UserError(
            f"{place(('teacher',), sources)}: missing, and the criterion {taught[0]} has seed "
            "questions, or imports of questions or responses; add the key teacher, or remove "
            "these keys from the criterion's recipe"
        )


def check_lengths(config: Config) -> None:
    """Check that the new tokens of each aligner leave room for the prompt.

    Raises:
        UserError: they do not.
    """
    aligners: list[tuple[type[Recipe], str]] = [
        *((BackboneRecipe, name) for name in config.backbones),
        *((ExternalRecipe, name) for name in config.external),
    ]
    for kind, name in aligners:
        recipe = load_recipe(kind, name)
        if not isinstance(recipe, BackboneRecipe | ReleasedExternalRecipe):
            continue  # A trained external aligner has the lengths of its backbone.
        new = recipe.decoding.max_new_tokens
        if new >= recipe.max_tokens:
            where = place(("decoding", "max_new_tokens"), [recipe_path(kind, name)])
            raise UserError(
                f"{where}: {new} new tokens leave no room for the prompt in max_tokens "
                f"{recipe.max_tokens}; lower max_new_tokens, or raise max_tokens"
            )


def check_names_differ(config: Config, sources: Sequence[Path]) -> None:
    """Check that no criterion and external aligner have the same name: both occur in paths.

    Raises:
        UserError: a criterion and an external aligner have the same name.
    """
    for name in set(config.criteria) & set(config.external):
        where = place(("external",), sources)
        raise UserError(f"{where}: {name!r} is a criterion and an external aligner; rename one")


def check_partners(config: Config, sources: Sequence[Path]) -> None:
    """Check that base LLMs have a finetuned chat LLM, and trained external aligners a backbone.

    Raises:
        UserError: one is missing, or there is no base LLM.
    """
    for name in base_llms(config):
        partner = str(load_recipe(LLMRecipe, name).finetuned)
        if partner not in config.llms:
            raise UserError(
                f"{place(('llms',), sources)}: {name} needs its partner {partner}; add it here"
            )
        if not load_recipe(LLMRecipe, partner).chat:
            raise UserError(
                f"{place(('finetuned',), [recipe_path(LLMRecipe, name)])}: {partner} is not a "
                f"chat LLM; name a chat LLM, or set chat: true in {recipe_path(LLMRecipe, partner)}"
            )
    if not base_llms(config):
        raise UserError(
            f"{place(('llms',), sources)}: none of them names a finetuned partner; "
            "add an LLM whose recipe has the key finetuned"
        )
    for name in config.external:
        recipe = load_recipe(ExternalRecipe, name)
        if isinstance(recipe, TrainedExternalRecipe) and (
            (backbone := recipe.train.backbone) not in config.backbones
        ):
            raise UserError(
                f"{place(('backbones',), sources)}: the external aligner {name} is trained on "
                f"{backbone}; add it to the list"
            )


def check_judge_recipe(name: str) -> None:
    """Check that the LLM of a judge takes messages over an API, as AlpacaEval needs.

    Raises:
        UserError: it is not a chat LLM on a server.
    """
    recipe, path = load_recipe(JudgeRecipe, name), recipe_path(JudgeRecipe, name)
    if not isinstance(recipe, LLMJudgeRecipe):
        return
    where = place(("llm",), [path])
    check_recipe(LLMRecipe, recipe.llm, where)
    llm = load_recipe(LLMRecipe, recipe.llm)
    if not isinstance(llm, ServerRecipe) or not llm.chat:
        raise UserError(
            f"{where}: {recipe.llm} cannot judge, because it is not a chat LLM on a server; name "
            "an LLM with chat: true whose engine is openai or served"
        )
