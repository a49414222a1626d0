"""Documents are true: commands run, names exist, figures are those of the examples."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import generate
import pytest
import yaml
from documented_commands import environment, is_program, make_checkout, run_block
from pages import (
    COMMANDS,
    PAGES,
    TEMPLATE,
    Block,
    anchors,
    blocks,
    code_spans,
    links,
    read_page,
    tables,
)
from projects import ROOT
from python_blocks import check_python
from result_names import is_known

from aligners.configuration.documentation import KINDS, classes
from aligners.configuration.fields import Recipe, Section
from aligners.configuration.recipes import FOLDERS
from aligners.configuration.validation import validate
from aligners.core.errors import UserError
from aligners.core.yaml_files import read_yaml

LANGUAGES = {COMMANDS, TEMPLATE, "text", "yaml", "python", "json", "mermaid", "snakemake"}
PLACEHOLDER = re.compile(r"<[\w-]+>")
# A redirection out of the copy, which no stand-in sees.
WRITES_OUTSIDE = re.compile(r">\s*(/(?!dev/null)|\.\./)")
LIBRARY = ROOT / "workflow/scripts/aligners"
# What a user's own files are called in the pages.
INVENTED = {"concise", "mine", "own"}
RULES = {
    rule
    for path in (ROOT / "workflow/rules").glob("*.smk")
    for rule in re.findall(
        r"^(?:rule|use rule \w+ as) (\w+)", path.read_text("utf-8"), re.MULTILINE
    )
}


def place(block: Block) -> str:
    """Return where a block stands, for a message."""
    return f"{block.page}, line {block.line}"


def with_blocks(language: str) -> list[str]:
    """Return the pages that have blocks of a language."""
    return [page for page in PAGES if blocks(page, language)]


# Blocks


@pytest.mark.parametrize("page", PAGES)
def test_every_block_has_a_known_language(page: str) -> None:
    for block in blocks(page):
        assert block.language in LANGUAGES, f"{place(block)}: {block.language!r}"
        if block.language == TEMPLATE:
            assert PLACEHOLDER.search(block.text), f"{place(block)}: no <placeholder>, so it is sh"


@pytest.fixture(scope="module")
def succeeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The dry runs that have succeeded, of all pages."""
    return tmp_path_factory.mktemp("succeeded")


@pytest.mark.parametrize("page", with_blocks(COMMANDS))
def test_commands_run(page: str, tmp_path: Path, succeeded: Path) -> None:
    """In order in one copy of the project, Snakemake and make dry."""
    checkout = make_checkout(tmp_path)
    for block in blocks(page, COMMANDS):
        assert not WRITES_OUTSIDE.search(block.text), place(block)
        status, output = run_block(checkout, block.text, succeeded)
        assert status == 0, f"{place(block)}\n{block.text}\n{output[-3000:]}"


def inline_commands(page: str) -> list[str]:
    """Return the commands with arguments in the running text; of a subcommand alone, its help."""
    spans = [text for text in dict.fromkeys(code_spans(page)) if not PLACEHOLDER.search(text)]
    found = [text for text in spans if len(text.split()) > 1 and is_program(text.split()[0])]
    return [f"{text} --help" if re.fullmatch(r"aligners \w+", text) else text for text in found]


@pytest.mark.parametrize("page", [page for page in PAGES if inline_commands(page)])
def test_inline_commands_run(page: str, tmp_path: Path, succeeded: Path) -> None:
    """After a run: there is a results/."""
    checkout = make_checkout(tmp_path)
    for command in inline_commands(page):
        (checkout / "results").mkdir(exist_ok=True)
        status, output = run_block(checkout, command, succeeded)
        assert status == 0, f"{page}: `{command}`\n{output[-3000:]}"


@pytest.mark.parametrize(
    ("script", "named"),
    [
        ("frobnicate --all", "frobnicate"),
        ("snakemake -n --profile profiles/demo results/nothing/all", "results/nothing/all"),
        ("snakemake -n --no-such-option", "--no-such-option"),
        ("make nothing", "nothing"),
        ("make benchmarks", "benchmarks"),
        ("aligners show docs/examples/squad.jsonl --no-such-option", "--no-such-option"),
        ("aligners show results/nothing.jsonl", "results/nothing.jsonl"),
        ("python no/such/program.py", "no/such/program.py"),
        ("python -m no_such_module", "no_such_module"),
        ("python -c 'from aligners import no_such_name'", "no_such_name"),
        ("cat no/such/file", "no/such/file"),
        ("head -n 1 results/nothing.jsonl | sort", "results/nothing.jsonl"),
        ("rm -r /usr/lib", "/usr/lib"),
    ],
)
def test_a_wrong_command_is_found(script: str, named: str, tmp_path: Path, succeeded: Path) -> None:
    """What a page may not have: that the test of the commands sees it."""
    status, output = run_block(
        make_checkout(tmp_path), f"echo fine\n{script}\necho fine", succeeded
    )
    assert status != 0
    assert named in output
    assert "line 2" in output


def kinds_of(block: Block, keys: set[str]) -> list[type[Section]]:
    """Return the kinds of YAML files that a block may be of: by its title, else by its keys."""
    if block.title:
        return [FOLDERS[Path(block.title).parent.name]]
    return [
        kind
        for kind in KINDS.values()
        if keys <= {key for one in classes(kind) for key in one.model_fields}
    ]


def fits(kind: type[Section], value: dict[str, Any], block: Block) -> bool:
    """Return whether a block is valid as a file of a kind, or laid over one that there is."""
    whole: list[dict[str, Any]] = [{}]
    if not block.title and issubclass(kind, Recipe):
        whole += [read_yaml(path) for path in Path("config", kind.folder).glob("*.yaml")]
    for other in whole:
        try:
            validate(kind, {**other, **value}, Path(block.title or "block.yaml"))
        except UserError:
            continue
        return True
    return False


def check_profile(value: dict[str, Any], block: Block) -> None:
    """Check a part of a Snakemake profile: its keys are options, the rules that it sets exist."""
    options = subprocess.run(
        [Path(sys.executable).with_name("snakemake"), "--help"], capture_output=True, text=True
    ).stdout
    for key, item in value.items():
        assert f"--{key} " in options, f"{place(block)}: {key}"
        if key in ("set-resources", "set-threads"):
            assert set(item) <= RULES, f"{place(block)}: {key}"


def make_named_files(value: dict[str, Any]) -> None:
    """Make the files that a recipe names and a user writes."""
    for key, item in value.items():
        if key != "model" and isinstance(item, str) and re.fullmatch(r"[\w./-]+\.\w+", item):
            Path(item).parent.mkdir(parents=True, exist_ok=True)
            # The header of a table; in another file, it does no harm.
            Path(item).write_text(",".join(value.get("columns", {}).values()) + "\n")


@pytest.mark.parametrize("page", with_blocks("yaml"))
def test_yaml_is_a_recipe_or_a_part_of_one(page: str, project: Path) -> None:
    """Or a part of a Snakemake profile."""
    for block in blocks(page, "yaml"):
        value = yaml.safe_load(block.text)
        make_named_files(value)
        kinds = kinds_of(block, set(value))
        if not kinds:
            check_profile(value, block)
        else:
            assert any(fits(kind, value, block) for kind in kinds), f"{place(block)}: {kinds}"


@pytest.mark.parametrize("page", with_blocks("python"))
def test_python_compiles_and_imports_what_exists(page: str) -> None:
    for block in blocks(page, "python"):
        check_python(block.text)


@pytest.mark.parametrize("page", with_blocks("json"))
def test_rows_are_json(page: str) -> None:
    for block in blocks(page, "json"):
        for line in block.text.splitlines():
            assert json.loads(line), place(block)


# Generated parts


def parts(page: Path) -> list[re.Match[str]]:
    """Return the generated parts of a page."""
    return list(generate.PART.finditer(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES)
def test_generated_parts_are_those_of_the_examples(page: str) -> None:
    for part in parts(ROOT / page):
        assert generate.with_parts(part[0]) == part[0], f"{page}: {part[2]}; make docs writes it"


def test_every_part_has_one_place() -> None:
    named = [part[2] for page in generate.PAGES for part in parts(page)]
    assert sorted(named) == sorted(generate.parts())


def test_show_prints_what_the_demo_page_shows(tmp_path: Path) -> None:
    command = "aligners show docs/examples/squad.jsonl --changed --rows 1"
    printed = subprocess.run(
        [Path(sys.executable).with_name("aligners"), *command.split()[1:]],
        cwd=ROOT,
        env={**os.environ, **environment(tmp_path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout.rstrip() in (ROOT / "docs/demo.md").read_text(encoding="utf-8")


# Names


@pytest.mark.parametrize("page", PAGES)
def test_results_that_a_page_names_are_made_by_the_workflow(page: str) -> None:
    written = re.findall(r"> (results/\S+)", "".join(block.text for block in blocks(page)))
    for name in code_spans(page):
        if name.startswith("results/") and " " not in name:
            assert is_known(name) or name in written, f"{page}: `{name}`"
    for block in blocks(page, TEMPLATE):
        for name in re.findall(r"(?<!\S)results/\S+", block.text):
            assert is_known(name), f"{place(block)}: {name}"


@pytest.mark.parametrize("page", PAGES)
def test_files_that_a_page_names_exist(page: str) -> None:
    """From the project's root, or from the library's."""
    for name in code_spans(page):
        parts = name.split("/")
        if not re.fullmatch(r"\w[\w./-]+", name) or name.startswith("results/"):
            continue
        for root in (ROOT, LIBRARY):
            is_here = len(parts) > 1 and (root / parts[0]).is_dir()
            if is_here and not INVENTED & {*parts, Path(name).stem}:
                assert (root / name).exists(), f"{page}: `{name}`"


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for link in links(page):
        if "://" in link or link.startswith("mailto:"):
            continue
        path, _, anchor = link.partition("#")
        target = (ROOT / page).parent / path if path else ROOT / page
        assert target.exists(), f"{page}: {link}"
        if anchor:
            linked = target.resolve().relative_to(ROOT).as_posix()
            assert anchor in anchors(linked), f"{page}: {link}"


def names_in(cells: list[str]) -> list[str]:
    """Return the words of cells, without what stands in parentheses."""
    return [word for cell in cells for word in re.findall(r"[\w.]+", re.sub(r"\(.*?\)", "", cell))]


def test_the_table_of_stages_has_every_rule_and_program() -> None:
    page = "docs/workflow.md"
    stages = next(table for table in tables(page) if "stage" in table.columns)
    listed = names_in(stages.column("rules"))
    assert sorted(listed) == sorted(RULES - {"all"})
    programs = {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}
    named = re.findall(r"\b(\w+)\.py\b", read_page(page))
    assert programs - set(listed) - set(named) == set()
    for target in re.findall(r"`(results/\S+?)`", " ".join(stages.column("target"))):
        assert is_known(target), target


def test_the_tables_of_rules_files_have_every_file() -> None:
    listed = [
        name
        for table in tables("docs/workflow.md")
        for title in ("rules file", "file")
        if title in table.columns
        for name in names_in(table.column(title))
    ]
    assert sorted(listed) == sorted(path.name for path in (ROOT / "workflow/rules").glob("*.smk"))


def test_the_table_of_packages_has_every_package() -> None:
    page = "docs/workflow.md"
    library = next(table for table in tables(page) if table.columns[0] == "package")
    packages = {path.parent.name for path in LIBRARY.glob("*/__init__.py")}
    assert sorted(library.column("package")) == sorted(packages)
    stages = next(table for table in tables(page) if "stage" in table.columns)
    assert set(names_in(stages.column("package"))) <= packages
