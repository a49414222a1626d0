"""The command `aligners import`: finds the format of a table, and writes its recipe."""

import difflib
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.text import Text

from aligners.cli.import_options import ImportOptions
from aligners.cli.show import print_field
from aligners.configuration.fields import Name
from aligners.configuration.kinds.criteria import CriterionRecipe
from aligners.configuration.kinds.imports import HubImportRecipe, ImportRecipe
from aligners.configuration.recipes import CONFIG, check_recipe, recipe_path
from aligners.configuration.validation import validate
from aligners.core.errors import UserError
from aligners.core.formats import printable_lines
from aligners.core.rows import Row
from aligners.core.tables import COMPRESSED, FIRST_RECORDS, TABLES, column_names, read_records
from aligners.core.yaml_files import read_yaml
from aligners.imports.formats import BY_NAME, Format, Kind, fitting
from aligners.imports.hub import hub_records
from aligners.imports.hub_table import HubTable
from aligners.publishing.licenses import forbids_commerce
from aligners.synthesis.imported import import_rows

HUB = "hub:"
SHOWN_ROWS = 2
NAME = TypeAdapter(Name)
# In the order in which a row is read.
SHOWN_FIELDS = (
    "system", "question", "response", "critique", "aligned_response", "chosen", "rejected", "label"
)  # fmt: skip
# A word for a correction that is short enough for the column of labels.
LABELS = {"aligned_response": "corrected"}
# A list in one line of a recipe, such as `data: [brief]`.
DATA_LINE = re.compile(r"^data:[ \t]*\[(?P<names>[^\]\n]*)\](?P<rest>[ \t]*(#[^\n]*)?)$", re.M)


def import_table(table: str, options: ImportOptions) -> None:
    """Write the recipe of an import, show its first rows, and give it to a criterion.

    Args:
        table: path of a local table, or hub:owner/name, perhaps with @revision.
        options: of the command.

    Raises:
        UserError: the table cannot be read, no format or several fit, no row can be used, or there
            is another import of this name.
    """
    if options.criterion is not None:
        check_name("--criterion", options.criterion)
        check_recipe(CriterionRecipe, options.criterion, "--criterion")
    if options.name is not None:
        check_name("--name", options.name)
    source = source_keys(table, options)
    path = CONFIG / ImportRecipe.folder / f"{options.name or default_name(table)}.yaml"
    values = {**source, **format_keys(source, table, options)}
    if options.license is not None:
        values["license"] = options.license
    check_path(path, values)
    recipe = validate(ImportRecipe, values, path)
    console = Console(highlight=False)
    show_rows(console, table, path.stem, recipe)
    write_recipe(path, values)
    print_line(console, f"{path}: written")
    if options.criterion is not None:
        print_line(console, add_to_criterion(options.criterion, path.stem))
    if options.license and forbids_commerce(options.license):
        print_line(console, f"Not for commercial use: data with the licence {options.license}.")
    print_line(console, f"next: snakemake --cores 2 results/imported/{path.stem}.jsonl")


def check_name(option: str, name: str) -> None:
    """Check the name of a recipe, which becomes a part of paths.

    Raises:
        UserError: it is no name.
    """
    try:
        NAME.validate_python(name)
    except ValidationError as invalid:
        raise UserError(f"{option}: {invalid.errors()[0]['ctx']['error']}") from None


def source_keys(table: str, options: ImportOptions) -> dict[str, Any]:
    """Return the keys of a recipe that name the table.

    Raises:
        UserError: an option does not fit the table, or the Hub cannot be reached.
    """
    of_hub = {
        name: value
        for name in ("config", "data_dir", "split", "file")
        if (value := getattr(options, name)) is not None
    }
    if table.startswith(HUB):
        repository, _, revision = table.removeprefix(HUB).partition("@")
        commit = newest_commit(repository, revision or "main")
        return {"source": "hub", "repository": repository, "revision": commit, **of_hub}
    if of_hub:
        raise UserError(
            f"--{next(iter(of_hub)).replace('_', '-')}: only a data set on the Hub has this "
            f"option; remove it, or write {HUB}owner/name"
        )
    if not Path(table).is_file():
        raise UserError(f"{table}: no such file; correct the path, or write {HUB}owner/name")
    return {"source": "file", "path": table}


def newest_commit(repository: str, revision: str) -> str:
    """Return the commit of a data set's branch or tag, so that a recipe can name it.

    Raises:
        UserError: the Hub cannot be reached, or does not have the data set or the revision.
    """
    import httpx2
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HFValidationError

    try:
        commit = HfApi().dataset_info(repository, revision=revision).sha
    except (OSError, HFValidationError, httpx2.HTTPError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"data set {repository}: {reason}; check the name, the revision and the network, and "
            "set HF_TOKEN in the environment if the data set is private or gated"
        ) from None
    assert commit is not None
    return commit


def default_name(table: str) -> str:
    """Return the name of an import, made of that of its file or repository."""
    name = table.removeprefix(HUB).partition("@")[0].rpartition("/")[2].lower()
    if not table.startswith(HUB):
        for ending in (*COMPRESSED, *TABLES):
            name = name.removesuffix(ending)
    return re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:64] or "import"


def format_keys(source: Mapping[str, Any], table: str, options: ImportOptions) -> dict[str, Any]:
    """Return the keys of a recipe that say how the table is read.

    Raises:
        UserError: the table has no records, or it is not clear how to read it.
    """
    turns = {} if options.turns == "last" else {"turns": options.turns}
    if options.columns:
        if options.kind is None:
            raise UserError("--columns: it is not clear what the rows are for; add --as")
        if options.format is not None:
            raise UserError("--columns and --format exclude each other; remove one")
        pairs = list(map(column_option, options.columns))
        columns = dict(pairs)
        if len(columns) < len(pairs):
            raise UserError("--columns: a field occurs twice; give each field one column")
        return {"kind": options.kind, "columns": columns, **turns}
    if options.format is not None:
        kind = options.kind or usual_kind(options.format)
        return {"kind": kind, "format": options.format, **turns}
    records = first_records(source)
    if not records:
        raise UserError(f"{table}: the table has no records; add some, or name another table")
    found = fitting(records, options.kind)
    chosen = choose_format(table, records, found, options)
    return {
        "kind": options.kind or chosen.kinds()[0],
        **({"format": chosen.name} if len(found) > 1 else {}),
        **turns,
    }


def usual_kind(name: str) -> Kind:
    """Return the usual kind of a format.

    Raises:
        UserError: there is no such format.
    """
    if name not in BY_NAME:
        close = difflib.get_close_matches(name, BY_NAME, n=1)
        hint = f"did you mean {close[0]}?" if close else f"use one of {', '.join(BY_NAME)}"
        raise UserError(f"--format: there is no format {name!r}; {hint}")
    return BY_NAME[name].kinds()[0]


def column_option(text: str) -> tuple[str, str]:
    """Return a field and its column of an option such as `question=prompt`.

    Raises:
        UserError: it has another form.
    """
    field, mark, column = text.partition("=")
    if not (field and mark and column):
        raise UserError(f"--columns {text!r}: not of the form question=COLUMN; correct it")
    return field, column


def first_records(source: Mapping[str, Any]) -> list[Row]:
    """Return the first records of a table."""
    if source["source"] == "file":
        places = read_records(Path(source["path"]))
    else:
        given = {key: value for key, value in source.items() if key != "source"}
        default = HubImportRecipe.model_fields["split"].default
        places = hub_records(HubTable(**{"split": default, **given}))
    return [record for _, record in islice(places, FIRST_RECORDS)]


def choose_format(
    table: str, records: Sequence[Row], found: Sequence[Format], options: ImportOptions
) -> Format:
    """Return the format that fits, or that the user chooses of several.

    Raises:
        UserError: none fits; or several do, and there is no terminal to ask in.
    """
    names = ", ".join(column_names(records))
    if len(found) == 1:
        return found[0]
    if not found:
        kind = f"no known format of {options.kind}" if options.kind else "no known format"
        raise UserError(
            f"{table}: {kind} has the columns {names}; name the columns, for "
            "instance --as responses --columns question=COLUMN response=COLUMN "
            "(docs/your-own-data.md has the formats)"
        )
    choices = ", ".join(f"{one.name} ({one.kinds()[0]})" for one in found)
    if not sys.stdin.isatty():
        raise UserError(
            f"{table}: the columns {names} fit several formats: {choices}; choose one with --format"
        )
    by_name = {one.name: one for one in found}
    while (answer := input(f"The columns fit several formats: {choices}. Format: ")) not in by_name:
        print(f"{answer!r} is none of them.")
    return by_name[answer]


def show_rows(console: Console, table: str, name: str, recipe: ImportRecipe) -> None:
    """Print how many of the first records are used, why others are not, and the first rows.

    Raises:
        UserError: none of them is used.
    """
    first = recipe.model_copy(update={"rows": FIRST_RECORDS})
    shown: list[Row] = []
    reasons = Counter[str]()
    kept = 0
    for row, reason in import_rows(name, first):
        if reason is not None:
            reasons[reason] += 1
            continue
        kept += 1
        if len(shown) < SHOWN_ROWS:
            shown.append(row)
    dropped = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
    if not kept:
        raise UserError(
            f"{table}: none of the first {reasons.total()} records is used; dropped: {dropped}. "
            "docs/data.md explains the reasons; correct the table, or --as and --columns"
        )
    line = f"{recipe.kind}: {kept:,} of the first {kept + reasons.total():,} records are used"
    print_line(console, line + (f"; dropped: {dropped}" if dropped else ""))
    for row in shown:
        console.print()
        for field in SHOWN_FIELDS:
            if field in row:
                print_field(
                    console, LABELS.get(field, field), Text(printable_lines(str(row[field])))
                )
    console.print()


def print_line(console: Console, line: str) -> None:
    """Print a line of text."""
    console.print(Text(line), soft_wrap=True)


def check_path(path: Path, values: Mapping[str, Any]) -> None:
    """Check that a recipe replaces no other one.

    Raises:
        UserError: there is another one.
    """
    if path.exists() and read_yaml(path) != values:
        raise UserError(f"{path}: there is another import of this name; give another one by --name")


def write_recipe(path: Path, values: Mapping[str, Any]) -> None:
    """Write a recipe."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True)
    path.write_text(text, encoding="utf-8")


def add_to_criterion(criterion: str, name: str) -> str:
    """Add an import to the key `data` of a criterion's recipe, and return a line about it.

    A recipe of the workflow's own is copied into the working directory.
    """
    path = CONFIG / CriterionRecipe.folder / f"{criterion}.yaml"
    text = recipe_path(CriterionRecipe, criterion).read_text(encoding="utf-8")
    values = read_yaml(recipe_path(CriterionRecipe, criterion))
    if name in (values.get("data") or []):
        return f"{path}: has the import {name}"
    if "data" not in values:
        text = f"{text.rstrip()}\ndata: [{name}]\n"
    elif match := DATA_LINE.search(text):
        names = ", ".join([*filter(None, [match["names"].strip()]), name])
        text = f"{text[: match.start()]}data: [{names}]{match['rest']}{text[match.end() :]}"
    else:
        return f"{path}: add {name} to the list under the key data"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    seeds = values.get("seed_questions") is not None
    beside = "; its seed questions are still used, unless you remove the key" if seeds else ""
    return f"{path}: uses {name}{beside}"
