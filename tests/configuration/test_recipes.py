"""Recipes and configurations: defaults, what decides, and how they fit together."""

from pathlib import Path
from typing import Any

import pytest
from yaml_edits import set_keys

from aligners.configuration import workflow_files
from aligners.configuration.criteria import load_principles, load_question_types
from aligners.configuration.experiment import base_llms
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.config import Config
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.pretrained import on_the_hub
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import deciding_recipe, load_recipe
from aligners.core.errors import UserError
from aligners.core.yaml_files import read_yaml

DEMO = Path("config/demo.yaml")
BACKBONE = "config/backbones/llama-closed-world.yaml"


def experiment(**changes: Any) -> Config:
    """Validate the demo with changes."""
    return validate_experiment({**read_yaml(DEMO), **changes}, DEMO)


# Defaults


def test_a_recipe_of_two_lines_is_complete(project: Path) -> None:
    Path("config/backbones/own.yaml").write_text("model: owner/name\nrevision: abc\n")
    recipe = load_recipe(BackboneRecipe, "own")
    assert (recipe.decoding.max_new_tokens, recipe.decoding.repetition_penalty) == (512, 1.0)
    assert (recipe.trust_remote_code, recipe.max_tokens) == (False, 1024)


def test_outside_of_the_workflow_the_message_says_where_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workflow_files, "WORKFLOW", tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"directory of the workflow.*config/criteria$") as caught:
        load_principles("no-such-criterion")
    assert "config/criteria/no-such-criterion.yaml" in str(caught.value)


@pytest.mark.parametrize("key", ["principles", "seed_questions"])
def test_a_tilde_in_a_path_is_the_home_directory(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    source = Path(f"resources/criteria/ethical/{key}.yaml")
    (tmp_path / "home").mkdir()
    source.rename(tmp_path / f"home/{key}.yaml")
    set_keys("config/criteria/ethical.yaml", **{key: f"~/{key}.yaml"})
    assert load_principles("ethical").principles and load_question_types("ethical")
    set_keys("config/criteria/ethical.yaml", **{key: f"~nobody-of-this-name/{key}.yaml"})
    with pytest.raises(UserError, match=f"key {key}: .*~nobody-of-this-name"):
        load_principles("ethical")


def test_a_tilde_in_the_path_of_a_model_is_the_home_directory(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home/model").mkdir(parents=True)
    (tmp_path / "home/model/config.json").write_text("{}")
    set_keys(BACKBONE, from_scratch=None, model="~/model", revision="main")
    source = load_recipe(BackboneRecipe, "llama-closed-world").source()
    assert source.model == str(tmp_path / "home/model")
    assert not on_the_hub(source.model)


def test_an_explicit_default_does_not_change_the_deciding_keys(project: Path) -> None:
    before = deciding_recipe(BackboneRecipe, "llama-closed-world")
    set_keys(BACKBONE, dtype="float32", attention="sdpa", weight_decay=0.01)
    assert deciding_recipe(BackboneRecipe, "llama-closed-world") == before


# What decides


@pytest.mark.parametrize(
    ("change", "decides"),
    [
        ({"description": "Other words."}, False),
        ({"micro_batch_tokens": 2}, False),
        ({"gradient_checkpointing": True}, False),
        ({"batch_tokens": 100}, False),
        ({"global_batch_size": 32}, True),
        ({"decoding": {"max_new_tokens": 97}}, True),
    ],
)
def test_keys_that_do_not_decide_are_left_out(
    project: Path, change: dict[str, Any], decides: bool
) -> None:
    before = deciding_recipe(BackboneRecipe, "llama-closed-world")
    set_keys(BACKBONE, **change)
    assert (deciding_recipe(BackboneRecipe, "llama-closed-world") != before) == decides


def test_files_decide_by_their_content_not_their_name(project: Path) -> None:
    before = deciding_recipe(CriterionRecipe, "ethical", "principles")
    seeds = deciding_recipe(CriterionRecipe, "ethical", "seed_questions")
    path = Path("resources/criteria/ethical/principles.yaml")
    moved = path.rename("moved.yaml")
    set_keys("config/criteria/ethical.yaml", principles=str(moved))
    assert deciding_recipe(CriterionRecipe, "ethical", "principles") == before
    moved.write_text(moved.read_text() + "\nmore: 1\n")
    assert deciding_recipe(CriterionRecipe, "ethical", "principles") != before
    assert deciding_recipe(CriterionRecipe, "ethical", "seed_questions") == seeds


def test_each_section_decides_separately(project: Path) -> None:
    topics = deciding_recipe(SynthesisRecipe, "closed-world", "topics")
    pairs = deciding_recipe(SynthesisRecipe, "closed-world", "pairs")
    set_keys("config/synthesis/closed-world.yaml", pairs={"max_new_tokens": 7})
    assert deciding_recipe(SynthesisRecipe, "closed-world", "topics") == topics
    assert deciding_recipe(SynthesisRecipe, "closed-world", "pairs") != pairs


# How they fit together


def test_base_llms_have_a_partner(project: Path) -> None:
    assert base_llms(experiment()) == ["closed-world-base"]


@pytest.mark.parametrize(
    ("changes", "recipe", "message"),
    [
        ({"llms": ["closed-world-base"]}, {}, "key llms: .*closed-world-finetuned"),
        ({"llms": ["closed-world-finetuned"]}, {}, "none of them names a finetuned partner"),
        ({}, {"config/llms/closed-world-base.yaml": {"finetuned": "closed-world-teacher"}},
         "closed-world-teacher; add it"),
        ({"llms": ["closed-world-base", "closed-world-teacher"]},
         {"config/llms/closed-world-base.yaml": {"finetuned": "closed-world-teacher"}},
         "key finetuned: closed-world-teacher is not a chat LLM"),
        ({}, {BACKBONE: {"decoding": {"max_new_tokens": 320}}},
         "key decoding.max_new_tokens: 320 new tokens leave no room"),
        ({"backbones": ["gpt2-large"]}, {},
         "ji-et-al-closed-world is trained on llama-closed-world; add it"),
        ({"split": {"train": 0.7, "validation": 0.2, "test": 0.2}}, {}, "add up to 1.1"),
        ({"responses_by": ["closed"]}, {}, "key responses_by: .*config/llms/closed.yaml"),
    ],
)  # fmt: skip
def test_recipes_that_do_not_fit_together_raise_an_error(
    project: Path, changes: dict[str, Any], recipe: dict[str, Any], message: str
) -> None:
    for path, values in recipe.items():
        set_keys(path, **values)
    with pytest.raises(UserError, match=message):
        experiment(**changes)


def test_a_criterion_and_an_external_aligner_have_different_names(project: Path) -> None:
    Path("config/external/ji-et-al.yaml").rename("config/external/helpful.yaml")
    with pytest.raises(UserError, match="'helpful' is a criterion and an external aligner"):
        experiment(external=["helpful"])
