"""The command `aligners import`: the format, the recipe, and the criterion that uses it."""

import io
import subprocess
import sys
from pathlib import Path

import pytest
from hub_server import COMMIT, TOKEN, Hub, Repository, serve_hub
from projects import MINIATURE, environment
from yaml_edits import set_keys

from aligners.cli.import_options import ImportOptions
from aligners.cli.imports import import_table
from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.recipes import load_recipe, read_recipe
from aligners.core.errors import UserError
from aligners.core.rows import Row, write_rows
from aligners.core.yaml_files import read_yaml
from aligners.estimate.stages import load_experiment

CHAT = [{"role": "user", "content": "Why?"}, {"role": "assistant", "content": "So."}]
TOOL = [{"role": "user", "content": "Go."}, {"role": "tool", "content": "gone"}]
BOTH = [{"question": "Why?", "prompt": "How?", "response": "So."}]


@pytest.fixture(autouse=True)
def _in_a_directory(project: Path) -> None:
    """Run in an empty project, and read recipes anew."""
    read_recipe.cache_clear()


def table(name: str, rows: list[Row]) -> str:
    """Write a table, and return its path."""
    write_rows(Path(name), rows)
    return name


def test_the_recipe_is_written_and_its_rows_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    path = table("My logs.jsonl", [{"messages": CHAT}, {"messages": TOOL}])
    import_table(path, ImportOptions(license="CC BY-NC 4.0"))
    recipe = Path("config/imports/my-logs.yaml")
    assert read_yaml(recipe) == {
        "source": "file", "path": path, "kind": "responses", "license": "CC BY-NC 4.0"
    }  # fmt: skip
    assert load_recipe(ImportRecipe, "my-logs").kind == "responses"
    shown = capsys.readouterr().out
    for part in ("1 of the first 2 records", "1 tool_call", "Why?", "So.", "Not for commercial use",
                 "results/imported/my-logs.jsonl"):  # fmt: skip
        assert part in shown


def test_the_options_choose_kind_columns_and_turns() -> None:
    path = table("logs.jsonl", [{"in": {"text": "Why?"}, "out": ["So."]}])
    columns = ("question=in.text", "response=out.0")
    import_table(path, ImportOptions(kind="responses", columns=columns, name="mine"))
    keys = read_yaml(Path("config/imports/mine.yaml"))
    assert keys["columns"] == {"question": "in.text", "response": "out.0"}
    path = table("chats.jsonl", [{"messages": CHAT}])
    import_table(path, ImportOptions(kind="questions", turns="joined"))
    assert read_yaml(Path("config/imports/chats.yaml"))["turns"] == "joined"


def test_a_criterion_gets_the_import() -> None:
    path = table("logs.jsonl", [{"messages": CHAT}])
    criterion = Path("config/criteria/ethical.yaml")
    for name in ("first", "second", "second"):
        import_table(path, ImportOptions(criterion="ethical", name=name))
    assert read_yaml(criterion)["data"] == ["first", "second"]
    assert "# removing one rude" in criterion.read_text()
    set_keys(MINIATURE, criteria=["ethical"])
    assert load_experiment(Path(MINIATURE)).criteria == ["ethical"]


def test_a_list_of_several_lines_is_left_to_the_user(capsys: pytest.CaptureFixture[str]) -> None:
    path = table("logs.jsonl", [{"messages": CHAT}])
    criterion = Path("config/criteria/mine.yaml")
    criterion.parent.mkdir(parents=True, exist_ok=True)
    criterion.write_text("principles: LICENSE\ndata:\n  - other\n")
    import_table(path, ImportOptions(criterion="mine"))
    assert "add logs to the list under the key data" in capsys.readouterr().out
    assert criterion.read_text() == "principles: LICENSE\ndata:\n  - other\n"


def test_of_two_formats_the_user_chooses_one(monkeypatch: pytest.MonkeyPatch) -> None:
    path = table("both.jsonl", BOTH)
    with pytest.raises(UserError, match=r"question-response.*prompt-response.*--format"):
        import_table(path, ImportOptions())
    import_table(path, ImportOptions(format="prompt-response", name="chosen"))
    assert read_yaml(Path("config/imports/chosen.yaml"))["format"] == "prompt-response"
    terminal = io.StringIO("what?\nquestion-response\n")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdin", terminal)
    import_table(path, ImportOptions())
    assert read_yaml(Path("config/imports/both.yaml"))["format"] == "question-response"


def run_command(project: Path, hub: Hub, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a program, with a fake Hub."""
    online = {"HF_ENDPOINT": hub.url, "HF_HOME": str(project / "cache"), "HF_TOKEN": TOKEN}
    code = "from aligners.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", code, "import", *arguments],
        env={**environment(project), **online, "HF_HUB_OFFLINE": "0"}, capture_output=True,
        text=True, timeout=600, check=False,
    )  # fmt: skip


def test_a_data_set_of_the_hub_gets_the_newest_commit(project: Path) -> None:
    rows = b'{"prompt": "Why?", "chosen": "So.", "rejected": "No."}\n'
    with serve_hub() as hub:
        repository = Repository(branches={"main": {"data/train.jsonl": rows}})
        hub.repositories["dataset", "someone/better"] = repository
        found = run_command(project, hub, "hub:someone/better", "--file", "data/train.jsonl")
        missing = run_command(project, hub, "hub:someone/other")
    assert found.returncode == 0, found.stderr
    assert read_yaml(Path("config/imports/better.yaml")) == {
        "source": "hub", "repository": "someone/better", "revision": COMMIT,
        "file": "data/train.jsonl", "kind": "preferences",
    }  # fmt: skip
    assert missing.returncode == 1 and missing.stderr.count("\n") == 1
    assert "someone/other" in missing.stderr


WRONG: list[tuple[str, list[Row], ImportOptions, str]] = [
    ("a.txt", BOTH, ImportOptions(), "a.txt.*unknown ending"),
    ("a.jsonl", [], ImportOptions(), "no records"),
    ("a.jsonl", [{"text": "?"}], ImportOptions(), r"columns text.*--as.*--columns"),
    ("a.jsonl", BOTH, ImportOptions(kind="labels"), "no known format of labels"),
    ("a.jsonl", BOTH, ImportOptions(columns=("question=prompt",)), "add --as"),
    ("a.jsonl", BOTH, ImportOptions(kind="questions", columns=("prompt",)), "question=COLUMN"),
    ("a.jsonl", BOTH, ImportOptions(kind="questions", columns=("question=x",)), "'x'"),
    ("a.jsonl", BOTH, ImportOptions(
        kind="questions", columns=("question=prompt", "question=question")
    ), "--columns.*twice"),
    ("a.jsonl", BOTH, ImportOptions(
        kind="questions", columns=("question=prompt",), format="prompts"
    ), "--columns and --format"),
    ("a.jsonl", BOTH, ImportOptions(format="promts"), "--format.*'promts'.*mean prompts"),
    ("a.jsonl", BOTH, ImportOptions(format="messages"), "key format: .*messages,.*has question"),
    ("a.jsonl", BOTH, ImportOptions(name="../a"), r"--name.*'\.\./a' is not a name"),
    ("a.jsonl", BOTH, ImportOptions(criterion="../demo"), r"--criterion.*is not a name"),
    ("a.jsonl", BOTH, ImportOptions(split="train"), "--split.*only a data set on the Hub"),
    ("a.jsonl", BOTH, ImportOptions(criterion="ethicla"), "did you mean ethical"),
    ("a.jsonl", [{"messages": TOOL}], ImportOptions(), "1 tool_call"),
    ("missing.jsonl", [], ImportOptions(), "no such file"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rows", "options", "message"), WRONG)
def test_what_is_wrong_is_one_message_and_no_recipe(
    name: str, rows: list[Row], options: ImportOptions, message: str
) -> None:
    if name != "missing.jsonl":
        table(name, rows)
    with pytest.raises(UserError, match=message):
        import_table(name, options)
    assert not Path("config/imports/a.yaml").exists()


def test_another_import_of_the_name_is_kept() -> None:
    import_table(table("a.jsonl", [{"question": "Why?"}]), ImportOptions())
    before = Path("config/imports/a.yaml").read_text()
    for options in (ImportOptions(license="MIT"), ImportOptions(license="")):
        with pytest.raises(UserError, match="give another one by --name"):
            import_table("a.jsonl", options)
    assert Path("config/imports/a.yaml").read_text() == before
