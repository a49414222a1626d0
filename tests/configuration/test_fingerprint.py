"""The fingerprint of a job: which changes affect it, and which do not."""

import re
from pathlib import Path
from typing import Any

import pytest
from projects import run_snakemake
from yaml_edits import set_keys

from aligners.configuration import fingerprint
from aligners.configuration.experiment_checks import validate_experiment
from aligners.configuration.fingerprint import code_hash, deciding_setting, read_code, read_module
from aligners.configuration.recipes import WILDCARDS
from aligners.core.hashes import content_hash
from aligners.core.yaml_files import read_yaml

PROGRAM = '''"""Do it."""
from aligners.first import work


def main(path: str) -> None:
    """Work."""
    work(path)  # at last
'''
FIRST = '''"""First."""

import json

from aligners import second
from aligners.bar import show


def work(path):
    """Work."""
    # A comment.
    from aligners.deep.third import late as at_last

    return second.half(json.dumps(show(path))) + at_last()


class Worker:
    """A worker."""

    size = 1
'''
SECOND = "def half(text):\n    return text[: len(text) // 2]\n"
THIRD = "def late():\n    return 'late'\n\n\ndef early():\n    return 'early'\n"
BAR = """from aligners.shapes import SHAPE

AFFECTS_RESULTS = False
SECONDS = 0.5


def show(text):
    return text
"""


@pytest.fixture
def scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small library with a program that imports one module, which imports two others."""
    files = {
        "work.py": PROGRAM,
        "aligners/first.py": FIRST,
        "aligners/second.py": SECOND,
        "aligners/deep/third.py": THIRD,
        "aligners/deep/__init__.py": "",
        "aligners/unused.py": "x = 1\n",
        "aligners/bar.py": BAR,
        "aligners/shapes.py": "SHAPE = 'round'\n",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(fingerprint, "SCRIPTS", tmp_path)
    return tmp_path


def forget_files() -> None:
    """Let all files be read again."""
    for function in (read_code, read_module, code_hash):
        function.cache_clear()


def code_of(scripts: Path) -> str:
    """Return the hash of the program, after reading its files again."""
    forget_files()
    return code_hash(scripts / "work.py")


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("work.py", '"""Do it."""', '"""Do it well.\n\nAnd often.\n"""'),
        ("work.py", "  # at last", ""),
        ("work.py", '    """Work."""\n', '    """Toil."""\n\n'),
        ("work.py", "main(path: str)", "main(\n    path: str,\n)"),
        ("aligners/first.py", '    """A worker."""', '    """One who works."""'),
        ("aligners/first.py", "    # A comment.\n", "\n\n"),
        ("aligners/second.py", "text[: len(text) // 2]", "text[:len(text)//2]"),
        ("aligners/unused.py", "x = 1", "x = 2"),
        ("aligners/bar.py", "0.5", "0.1"),
        ("aligners/shapes.py", "round", "square"),
    ],
)
def test_comments_docstrings_and_format_do_not_change_the_hash(
    scripts: Path, name: str, old: str, new: str
) -> None:
    before = code_of(scripts)
    text = (scripts / name).read_text()
    assert old in text
    (scripts / name).write_text(text.replace(old, new))
    assert code_of(scripts) == before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("work.py", "work(path)", "work(path + path)"),
        ("aligners/first.py", "size = 1", "size = 2"),
        ("aligners/second.py", "// 2", "// 3"),
        ("aligners/deep/third.py", "'late'", "'later'"),
        ("aligners/first.py", "import late as", "import early as"),
        ("aligners/first.py", "import json", "import json5 as json"),
        ("aligners/bar.py", "AFFECTS_RESULTS = False\n", ""),
    ],
)
def test_code_of_every_imported_module_changes_the_hash(
    scripts: Path, name: str, old: str, new: str
) -> None:
    before = code_of(scripts)
    text = (scripts / name).read_text()
    assert old in text
    (scripts / name).write_text(text.replace(old, new))
    assert code_of(scripts) != before
    (scripts / name).write_text(text)
    assert code_of(scripts) == before


def test_functions_of_one_name_in_two_modules_are_told_apart(scripts: Path) -> None:
    """Both modules are imported before and after; only where the function comes from changes."""
    (scripts / "aligners/deep/third.py").write_text(f"{THIRD}\n\n{SECOND.replace('2', '3')}")
    used = FIRST.replace("second.half", "half")
    hashes = set()
    for module in ("second", "deep.third"):
        text = used.replace("import second", f"import second\nfrom aligners.{module} import half")
        (scripts / "aligners/first.py").write_text(text)
        hashes.add(code_of(scripts))
    assert len(hashes) == 2


def test_an_added_docstring_does_not_change_the_hash(scripts: Path) -> None:
    before = code_of(scripts)
    text = SECOND.replace("    return", '    """Return the first half."""\n    return')
    (scripts / "aligners/second.py").write_text(text)
    assert code_of(scripts) == before


def move(scripts: Path, old: str, new: str) -> None:
    """Move a module of the library, and change its imports."""
    for path in scripts.rglob("*.py"):
        text = path.read_text()
        text = text.replace(f"aligners.{old}", f"aligners.{new}")
        if "." not in old and "." in new:
            text = text.replace(
                f"from aligners import {old}",
                f"from aligners.{new.rpartition('.')[0]} import {old}",
            )
        path.write_text(text)
    target = scripts / "aligners" / f"{new.replace('.', '/')}.py"
    target.parent.mkdir(parents=True, exist_ok=True)
    (scripts / "aligners" / f"{old.replace('.', '/')}.py").rename(target)


@pytest.mark.parametrize(
    ("old", "new"), [("second", "deep.second"), ("deep.third", "last"), ("first", "work.first")]
)
def test_a_moved_module_does_not_change_the_hash(scripts: Path, old: str, new: str) -> None:
    before = code_of(scripts)
    move(scripts, old, new)
    assert code_of(scripts) == before


def test_a_fingerprint_contains_code_and_settings(scripts: Path) -> None:
    code_of(scripts)
    text = fingerprint.fingerprint("work", {"seed": 0, "teacher": "falcon:abc"})
    assert re.fullmatch(r"code=[0-9a-f]{10} seed=0 teacher=falcon:abc", text)


# Settings


NAMES = {
    "seed": 0,
    "shards": {"pairs": 2, "responses": 3},
    "criteria": ["ethical", "helpful"],
    "criterion": "ethical",
    "teacher": "closed-world-teacher",
    "llm": "closed-world-base",
    "synthesis": "closed-world",
    "encoder": "all-minilm-l6-v2",
    "backbone": "llama-closed-world",
    "dataset": "own",
}


def test_numbers_are_unchanged_and_lists_keep_their_order(in_the_project: None) -> None:
    assert deciding_setting("seed", NAMES) == 0
    assert deciding_setting("shards.pairs", NAMES) == 2
    assert deciding_setting("criteria", NAMES) != deciding_setting(
        "criteria", {**NAMES, "criteria": ["helpful", "ethical"]}
    )


SERVED = {"inference": {"engine": "served", "command": "serve --port {port}"}}
EDITS: list[tuple[str, str, dict[str, Any], bool]] = [
    ("backbone", "backbones/llama-closed-world", {"description": "x"}, False),
    ("backbone", "backbones/llama-closed-world", {"micro_batch_tokens": 3}, False),
    ("backbone", "backbones/llama-closed-world", {"epochs": 7}, True),
    ("backbone", "backbones/llama-closed-world", SERVED, False),
    ("backbone.inference", "backbones/llama-closed-world", SERVED, True),
    ("backbone.inference", "backbones/llama-closed-world", {"epochs": 7}, False),
    ("encoder", "encoders/all-minilm-l6-v2", {"batch_size": 3}, False),
    ("encoder", "encoders/all-minilm-l6-v2", {"max_tokens": 3}, True),
    ("synthesis.topics", "synthesis/closed-world", {"pairs": {"max_new_tokens": 3}}, False),
    ("synthesis.pairs", "synthesis/closed-world", {"pairs": {"max_new_tokens": 3}}, True),
    ("criterion.principles", "criteria/ethical", {"near_copy_similarity": 0.5}, False),
    ("criterion.near_copy_similarity", "criteria/ethical", {"near_copy_similarity": 0.5}, True),
    ("criterion.description", "criteria/ethical", {"description": "x"}, True),
    ("criterion.principles", "criteria/ethical", {"description": "x"}, False),
    ("teacher", "llms/closed-world-teacher", {"require_all": False}, False),
    ("teacher", "llms/closed-world-teacher", {"responses": {"max_new_tokens": 3}}, False),
    ("teacher", "llms/closed-world-teacher", {"persona": "base"}, True),
    ("llm", "llms/closed-world-base", {"finetuned": "closed-world-teacher"}, False),
    ("llm.responses", "llms/closed-world-base", {"responses": {"max_new_tokens": 3}}, True),
    ("llm.responses", "llms/closed-world-base", {"require_all": False}, False),
]


@pytest.mark.parametrize(("setting", "recipe", "change", "decides"), EDITS)
def test_only_deciding_keys_of_a_recipe_change_the_setting(
    project: Path, setting: str, recipe: str, change: dict[str, Any], decides: bool
) -> None:
    before = deciding_setting(setting, NAMES)
    set_keys(f"config/{recipe}.yaml", **change)
    assert (deciding_setting(setting, NAMES) != before) == decides


def test_how_a_server_of_aligners_is_started_does_not_decide(project: Path) -> None:
    recipe = "config/backbones/llama-closed-world.yaml"
    set_keys(recipe, **SERVED)
    before = deciding_setting("backbone.inference", NAMES)
    moved = {"command": "serve --fast --port {port}", "concurrency": 3, "in_turn": True}
    set_keys(recipe, inference={**SERVED["inference"], **moved})
    assert deciding_setting("backbone.inference", NAMES) == before
    set_keys(recipe, inference={**SERVED["inference"], "extra": {"min_p": 0.5}})
    assert deciding_setting("backbone.inference", NAMES) != before


@pytest.mark.parametrize(
    ("setting", "path", "more"),
    [
        ("criterion.principles", "resources/criteria/ethical/principles.yaml", "more: 1\n"),
        ("criterion.seed_questions", "resources/criteria/ethical/seed_questions.yaml", "more: 1\n"),
        ("teacher", "resources/closed_world/world.yaml", "more: 1\n"),
        ("dataset", "own.csv", "# more\n"),
    ],
)
def test_the_content_of_a_file_decides_but_not_its_comments(
    project: Path, setting: str, path: str, more: str
) -> None:
    Path("own.csv").write_text("question\nWhy?\n")
    Path("config/datasets/own.yaml").write_text("{source: file, path: own.csv}")
    before = deciding_setting(setting, NAMES)
    content = Path(path).read_text()
    Path(path).write_text(content + more)
    assert deciding_setting(setting, NAMES) != before
    Path(path).write_text(content)
    assert deciding_setting(setting, NAMES) == before
    if path.endswith(".yaml"):
        Path(path).write_text("# A comment.\n" + content)
        assert deciding_setting(setting, NAMES) == before


def test_the_world_of_a_served_judge_decides(project: Path) -> None:
    names = {"llm": "closed-world-judge"}
    before = deciding_setting("llm", names)
    world = Path("resources/closed_world/world.yaml")
    world.write_text("# A comment.\n" + world.read_text())
    assert deciding_setting("llm", names) == before
    world.write_text(world.read_text().replace("Canberra", "Sydney"))
    assert deciding_setting("llm", names) != before


def test_the_format_of_json_does_not_change_the_hash(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    hashes = []
    texts = ['{"a": 1, "b": [2]}', '{\n  "a": 1,\n  "b": [2]\n}', '{"b": [2], "a": 1}']
    for text in [*texts, '{"a": 1.0, "b": [2]}']:
        path.write_text(text)
        hashes.append(content_hash(path))
    assert hashes[0] == hashes[1]
    assert len(set(hashes)) == 3  # The order of keys and the type of a number count.


# The library itself


def programs_changed(project: Path, module: str, old: str, new: str) -> set[str]:
    """Return the programs whose hash a change of a library module changes."""
    scripts = project / "workflow/scripts"
    programs = sorted(scripts.glob("*.py"))

    def hashes() -> list[str]:
        forget_files()
        return [code_hash(program) for program in programs]

    before = hashes()
    path = scripts / "aligners" / module
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    after = hashes()
    path.write_text(text)
    return {
        program.stem
        for program, first, second in zip(programs, before, after, strict=True)
        if first != second
    }


@pytest.mark.parametrize(
    ("module", "old", "new", "programs"),
    [
        ("core/progress.py", "{percentage:3.0f}%", "{percentage:4.0f}%", set()),
        ("publishing/model_card.py", "text-generation", "other", set()),
        ("configuration/results.py", "results/inputs/", "results/questions/", set()),
        (
            "configuration/combinations.py",
            "product(*",
            "product(*reversed",
            {"compare_systems", "compare_with_reported", "write_tables"},
        ),
        ("core/plots.py", "linewidth", "lw", set()),
        ("training/trainer.py", "reduction=", "ignored=", {"train_aligner", "train_inspector"}),
    ],
)
def test_a_changed_module_affects_only_programs_whose_results_depend_on_it(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    module: str,
    old: str,
    new: str,
    programs: set[str],
) -> None:
    monkeypatch.setattr(fingerprint, "SCRIPTS", project / "workflow/scripts")
    assert programs_changed(project, module, old, new) == programs


def test_every_setting_of_the_rules_can_be_read(in_the_project: None) -> None:
    """Otherwise, a misspelt setting in a rule fails only when its job is planned."""
    path = Path("config/demo.yaml")
    config = validate_experiment(read_yaml(path), path).model_dump(mode="json")
    wildcards = {
        "criterion": config["criteria"][0],
        "llm": config["llms"][0],
        "dataset": config["datasets"][0],
        "inspector": config["inspectors"][0],
        "backbone": config["backbones"][0],
        "external": config["external"][0],
        "imported": "brief",
    }
    assert set(wildcards) == set(WILDCARDS)
    calls = [
        (path.stem, re.findall(r'"([^"]+)"', call.split("command=")[0]))
        for path in Path("workflow/rules").glob("*.smk")
        for call in re.findall(r"\*\*program\(([^)]+)\)", path.read_text())
    ]
    assert len(calls) >= 20
    for _, (rule, *settings) in calls:
        assert (fingerprint.SCRIPTS / f"{rule}.py").is_file(), rule
        for setting in settings:
            deciding_setting(setting, {**config, **wildcards})


def test_the_format_of_an_external_aligner_changes_its_fingerprint(project: Path) -> None:
    """A killed training must not continue from weights trained with another format."""
    target = "results/aligners/gpt2-miniature/ji-et-al-miniature/metrics.json"

    def planned() -> str:
        plan = run_snakemake(project, "--dry-run", "--printshellcmds", target)
        [command] = [line for line in plan.splitlines() if "train_aligner.py" in line]
        return command.split("--fingerprint ")[1].split(" --input-format")[0]

    before = planned()
    recipe = project / "config/external/ji-et-al-miniature.yaml"
    recipe.write_text(recipe.read_text().replace("{question}", "Q: {question}"))
    assert planned() != before
