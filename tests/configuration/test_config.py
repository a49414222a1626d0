"""Every file under config/ and resources/criteria/ is what its schema and its readers expect."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from aligners.configuration.criteria import load_principles, load_question_types
from aligners.configuration.documentation import (
    KINDS,
    classes,
    describe,
    json_schema,
    key_tables,
    keys,
)
from aligners.configuration.experiment import Experiment, has_seed_questions
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.external import ExternalRecipe, ReleasedExternalRecipe
from aligners.configuration.kinds.llms import LLMRecipe
from aligners.configuration.kinds.pretrained import PretrainedRecipe
from aligners.configuration.recipes import FOLDERS, load_recipe
from aligners.configuration.validation import validate
from aligners.core.errors import UserError
from aligners.core.yaml_files import read_yaml
from aligners.statistics.reproduction import AS_IN_THE_PAPER
from aligners.synthesis.pair_prompts import pairs_prompt
from aligners.synthesis.topics import topic_reason

ROOT = Path(__file__).parents[2]
EXPERIMENTS = ["config.yaml", "demo.yaml"]
REPRODUCTION = "paper-reproduction.yaml"
RECIPES = sorted(
    (kind, path.stem) for kind in FOLDERS for path in (ROOT / "config" / kind).glob("*.yaml")
)
CRITERIA = sorted(path.stem for path in (ROOT / "config" / "criteria").glob("*.yaml"))
GENERATED = [name for name in CRITERIA if has_seed_questions(name)]
GOOD = "Nothing is wrong."
HUB_FILE = {"source": "hub", "repository": "a/b", "revision": "abc", "file": "x.csv"}


@pytest.fixture(autouse=True)
def in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    """Recipes and the files they name are found from the project's root."""
    monkeypatch.chdir(ROOT)


# What is generated from the kinds


@pytest.mark.parametrize("name", KINDS)
def test_every_key_is_described(name: str) -> None:
    describe(KINDS[name])
    for kind in classes(KINDS[name]):
        describe(kind)
        assert [key for key, field, _ in keys(kind) if not field.description] == []


@pytest.mark.parametrize("name", KINDS)
def test_the_schema_is_generated_from_the_kind(name: str) -> None:
    path = ROOT / "workflow/schemas" / f"{name}.schema.json"
    schema = path.read_text(encoding="utf-8")
    assert schema == json_schema(KINDS[name]), "run `make docs`"
    Draft202012Validator.check_schema(json.loads(schema))


def test_the_tables_of_the_readme_are_generated_from_the_kinds() -> None:
    readme = (ROOT / "config/README.md").read_text(encoding="utf-8")
    assert f"<!-- begin: keys -->\n{key_tables()}<!-- end: keys -->" in readme, "run `make docs`"


@pytest.mark.parametrize(("kind", "name"), RECIPES)
def test_the_schema_accepts_the_recipes(kind: str, name: str) -> None:
    validator = Draft202012Validator(json.loads(json_schema(FOLDERS[kind])))
    assert list(validator.iter_errors(read_yaml(ROOT / "config" / kind / f"{name}.yaml"))) == []


@pytest.mark.parametrize(
    ("kind", "value", "is_valid"),
    [
        ("backbones", {"model": "a/b", "revision": "c"}, True),
        ("backbones", {"model": "a/b", "revision": "c", "from_scratch": None}, True),
        ("backbones", {"revision": "c"}, False),
        ("backbones", {}, False),
        ("encoders", {"model": "package:json/model"}, True),
        ("encoders", {}, False),
        ("external", {"input_format": "{question} {response}", "train": {"backbone": "b"}}, True),
        ("external", {"input_format": "{question} {response}", "train": {"backbone": "b"},
                      "dtype": "auto"}, False),
        ("datasets", HUB_FILE, True),
        ("datasets", {**HUB_FILE, "split": "test"}, False),
    ],
)  # fmt: skip
def test_the_schema_knows_which_keys_fit_together(
    kind: str, value: dict[str, Any], is_valid: bool
) -> None:
    validator = Draft202012Validator(json.loads(json_schema(FOLDERS[kind])))
    assert validator.is_valid(value) == is_valid
    try:
        validate(FOLDERS[kind], value, Path("recipe.yaml"))
    except UserError:
        assert not is_valid
    else:
        assert is_valid


# Recipes and experiments


@pytest.mark.parametrize(("kind", "name"), RECIPES)
def test_recipe_is_valid(kind: str, name: str) -> None:
    assert load_recipe(FOLDERS[kind], name).description


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_experiment_is_valid_with_all_its_recipes(experiment: str) -> None:
    path = Path("config") / experiment
    config = validate_experiment(read_yaml(path), path)
    for name in config.llms:
        partner = load_recipe(LLMRecipe, name).finetuned
        assert partner is None or load_recipe(LLMRecipe, partner).chat


def test_llms_that_only_write_first_responses_are_fetched() -> None:
    path = Path("config/config.yaml")
    config = validate_experiment({**read_yaml(path), "responses_by": ["mistral-7b"]}, path)
    assert "llms/mistral-7b" in Experiment(config).hub_models


def test_the_reproduction_has_the_papers_llms_and_trained_models() -> None:
    paper, changes = (read_yaml(Path("config") / name) for name in ("config.yaml", REPRODUCTION))
    # No model is trained on what these keys name.
    assert set(changes) == {"llms", "datasets", "systems"}
    path = Path("config") / REPRODUCTION
    config = validate_experiment({**paper, **changes}, path, Path("config/config.yaml"))
    assert config.llms == [f"{name}{AS_IN_THE_PAPER}" for name in paper["llms"]]
    for name, own in zip(config.llms, paper["llms"], strict=True):
        recipe, usual = load_recipe(LLMRecipe, name), load_recipe(LLMRecipe, own)
        assert recipe.origin() == usual.origin()
        decoding = recipe.responses.repetition_penalty, recipe.responses.first_sentence
        assert decoding == (2.0, True)
        assert usual.responses.repetition_penalty <= 1.1 and not usual.responses.first_sentence


def test_demo_sets_every_key() -> None:
    """Laid over config.yaml, whatever it left out would be the paper's."""
    paper, demo = (read_yaml(Path("config") / name) for name in EXPERIMENTS)
    assert list(demo) == list(paper)
    for key in ("shards", "split"):
        assert list(demo[key]) == list(paper[key])


@pytest.mark.parametrize(("kind", "name"), RECIPES)
def test_revision_is_a_commit_or_marked_as_unpinned(kind: str, name: str) -> None:
    text = (ROOT / "config" / kind / f"{name}.yaml").read_text(encoding="utf-8")
    recipe = load_recipe(FOLDERS[kind], name)
    if isinstance(recipe, PretrainedRecipe) and recipe.model and (ROOT / recipe.model).exists():
        return  # A file of the project, with a revision of our own.
    for line in re.findall(r"^revision:.*$", text, re.MULTILINE):
        assert re.fullmatch(r"revision: [0-9a-f]{40}( +#.*)?|revision: main +# UNPINNED: .+", line)


@pytest.mark.parametrize("kind", [BackboneRecipe, ExternalRecipe])
def test_rows_leave_room_for_question_and_response(
    kind: type[BackboneRecipe] | type[ExternalRecipe],
) -> None:
    for _, name in (recipe for recipe in RECIPES if recipe[0] == kind.folder):
        recipe = load_recipe(kind, name)
        if isinstance(recipe, BackboneRecipe | ReleasedExternalRecipe):
            assert recipe.decoding.max_new_tokens <= recipe.max_tokens * 2 / 3, name


BACKBONE = {"model": "owner/model", "revision": "abc"}
SHAPE = {"model_type": "gpt2", "vocabulary_size": 500, "config": {}}
TRAINED = {"train": {"backbone": "mine"}, "input_format": "{question} {response}"}
TABLE = "resources/closed_world/category_questions.csv"
OPENAI = {"engine": "openai", "model": "m"}
SERVED = {"engine": "served", **BACKBONE, "command": "serve {port}"}
TRANSFORMERS = {"engine": "transformers", "model": "owner/model", "revision": "abc"}


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        ("backbones", {**BACKBONE, "learning_rat": 1e-5}, "mean learning_rate"),
        ("backbones", {}, "either model or"),
        ("backbones", {"model": "owner/model"}, "revision"),
        ("backbones", {**BACKBONE, "from_scratch": SHAPE}, "either model or"),
        ("backbones", {**BACKBONE, "epochs": 0}, "epochs"),
        ("encoders", {"model": "package:no package/x"}, "key model: .*package:NAME/PATH"),
        ("criteria", {"principles": "LICENSE", "data": "mine"}, "key data: 'mine'"),
        ("imports", {"source": "file", "path": "LICENSE", "kind": "labels"}, "key path: .*jsonl"),
        ("imports", {"source": "file", "path": TABLE, "kind": "labels"},
         "key kind: .*no known format of labels"),
        ("imports", {"source": "hub", "repository": "a/b", "kind": "labels"}, "revision"),
        ("imports", {"source": "disk", "kind": "labels"}, "key source: 'disk'.*file"),
        ("external", {"input_format": "{question} {response}"}, "train"),
        ("external", {**BACKBONE, "input_format": "{question}"}, "input_format"),
        ("criteria", {"principles": "LICENSE", "seed_questions": "LICENSE",
                      "near_copy_similarity": 1.5}, "near_copy_similarity: 1.5"),
        ("criteria", {"principles": "p.yaml", "seed_questions": "s.yaml"}, "principles: .*p.yaml"),
        ("llms", {"engine": "oracle"}, "oracle.*closed-world"),
        ("llms", {"engine": "transformers"}, "model"),
        ("llms", {**TRANSFORMERS, "persona": "base"}, "engine: closed-world"),
        ("llms", {**TRANSFORMERS, "responses": {"system": "Be brief."}}, "key responses.system: "),
        ("llms", {**TRANSFORMERS, "chat_template": "{{ messages }}"}, "for a chat LLM"),
        ("llms", {**TRANSFORMERS, "responses": {"prompt": "Answer this:"}}, "prompt"),
        ("datasets", {"source": "file"}, "path"),
        ("datasets", {"source": "hub", "repository": "a/b"}, "revision"),
        ("datasets", {"source": "synthetic", "path": "x.csv"}, "path"),
        ("datasets", {"source": "file", "path": "README.md"}, "key path: 'README.md'.*csv"),
        ("datasets", {"source": "file", "path": TABLE},
         "key columns.question: .*'question'.*prompt"),
        ("datasets", {"source": "file", "path": TABLE, "columns": {"question": 3}},
         "key columns.question: 3"),
        ("datasets", {**HUB_FILE, "split": "test"}, "key split: .*file"),
        ("synthesis", {"pairs": {"temperature": -1}}, "key pairs.temperature"),
        ("synthesis", {"pairs": {"temperature": 1e-9}}, "key pairs.temperature: 1e-09"),
        # Keys without an effect
        ("external", {**TRAINED, "dtype": "float32"}, "key dtype: .*`model`"),
        ("external", {**TRAINED, "max_tokens": 100}, "key max_tokens: .*`model`"),
        ("external", {**TRAINED, "decoding": {}}, "key decoding: .*`model`"),
        ("external", {**TRAINED, **BACKBONE}, "key train: .*`train`"),
        ("backbones", {"from_scratch": SHAPE, "gated": True}, "key gated: "),
        ("inspectors", {"from_scratch": SHAPE, "weights": "bin"}, "key weights: "),
        ("llms", {**TRANSFORMERS, "chat": True, "responses": {"prompt": "Hm: {question}"}},
         "key responses.prompt: "),
        ("llms", {**SERVED, "trust_remote_code": True}, "key trust_remote_code: .*command"),
        # What cannot work
        ("llms", {**SERVED, "command": "serve '{port}"}, "key command: .*quotation"),
        ("llms", {**SERVED, "extra": {"stream": True}}, "key extra.stream: "),
        ("llms", {**SERVED, "extra": {"seed": 1}}, "key extra.seed: "),
        ("llms", {**SERVED, "penalty_parameter": "temperature"}, "key penalty_parameter: temp"),
        ("llms", {**SERVED, "penalty_parameter": "messages"}, "key penalty_parameter: messages"),
        ("llms", {**TRANSFORMERS, "chat": True, "template_options": {"tokenize": False}},
         "key template_options.tokenize: "),
        ("llms", {**SERVED, "chat": True, "template_options": {"messages": []}},
         "key template_options.messages: "),
        ("llms", OPENAI, "key endpoint"),
        ("llms", {"engine": "openai", "endpoint": "http://host"}, "key model"),
        ("llms", {**OPENAI, "endpoint": "http://"}, "key endpoint: 'http://'"),
        ("llms", {**OPENAI, "endpoint": "http://h:port/v1"}, "key endpoint"),
        ("llms", {"engine": "served", "model": "a/b", "revision": "c"}, "key command"),
        ("backbones", {"from_scratch": {**SHAPE, "model_type": "gpt3"}},
         "key from_scratch.model_type: 'gpt3'.*transformers"),
        ("backbones", {"from_scratch": {**SHAPE, "config": {"vocab_size": 9}}},
         "key from_scratch.config.vocab_size: "),
        ("backbones", {**BACKBONE, "model": "./nowhere"}, r"key model: .*\./nowhere"),
        ("backbones", {**BACKBONE, "model": "a b"}, "key model: 'a b'"),
    ],
)  # fmt: skip
def test_an_invalid_recipe_gets_a_message_with_file_and_key(
    in_the_project: None, kind: str, value: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message) as error:
        validate(FOLDERS[kind], value, Path("config/recipe.yaml"))
    assert str(error.value).startswith("config/recipe.yaml")


# Principles and seed questions


@pytest.mark.parametrize("criterion", CRITERIA)
def test_demonstrations_include_corrected_and_unchanged_responses(criterion: str) -> None:
    principles = load_principles(criterion)
    names = [principle.name for principle in principles.principles]
    good = [item for item in principles.demonstrations if item.critique == GOOD]
    assert len(principles.demonstrations) >= 8
    assert len(good) >= 2
    for item in principles.demonstrations:
        assert (item in good) == (item.correction == item.response), item.input
        named = [name for name in names if f"the {name} principle" in item.critique]
        assert bool(named) == (item not in good), item.input
    critiques = " ".join(item.critique for item in principles.demonstrations)
    assert all(f"the {name} principle" in critiques for name in names)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_demonstrations_do_not_break_the_prompt(criterion: str) -> None:
    principles = load_principles(criterion)
    texts = [text for item in principles.demonstrations for text in dict(item).values()]
    for text in [*texts, *(principle.text for principle in principles.principles)]:
        assert "\n" not in text
        assert not re.search(r"\b(Input|Response|Critique|Correction):", text)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_pairs_prompt_leaves_room_in_the_context_of_the_teacher(criterion: str) -> None:
    """Falcon reads 2,048 tokens of about four characters; a pair takes a few hundred."""
    prompt = pairs_prompt(load_principles(criterion), "x" * 300, chat=False)
    assert len(prompt) / 4 < 2048 - 300


@pytest.mark.parametrize("criterion", GENERATED)
def test_seed_questions_have_valid_topics(criterion: str) -> None:
    for question_type in load_question_types(criterion):
        topics = question_type.example_topics
        assert len(topics) == len(set(topics)) == 5
        assert len(question_type.questions) >= 2
        for topic in [*topics, *(seed.topic for seed in question_type.questions)]:
            assert topic_reason(topic) is None, topic


def test_criteria_have_the_same_types_and_different_questions() -> None:
    types = [[kind.type for kind in load_question_types(criterion)] for criterion in GENERATED]
    assert all(names == types[0] for names in types)
    assert len(types[0]) == len(set(types[0])) == 20
    questions = [
        seed.question.lower()
        for criterion in GENERATED
        for kind in load_question_types(criterion)
        for seed in kind.questions
    ]
    questions += [
        item.input.lower() for name in GENERATED for item in load_principles(name).demonstrations
    ]
    assert len(questions) == len(set(questions))
