"""Writes the training sets of criteria in the format of another trainer, with a card."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub.constants import REPOCARD_NAME

from aligners.configuration import results
from aligners.configuration.criteria import languages_of
from aligners.core.errors import UserError
from aligners.core.rows import Row, atomic_path, iterate_rows, row_writer
from aligners.export.formats import FORMATS, Format, FormatName
from aligners.publishing.data_card import data_card
from aligners.synthesis.sides import SPLITS

ALL = "all"
# What is known of the origin of a row. An empty text stands for what is not known of a row, so that
# all rows have the same columns.
ORIGIN = ("source", "license", "original_id")


@dataclass
class Export:
    """What was written.

    Attributes:
        criteria: whose rows were written.
        rows: number of rows of each split that has any.
        left_out: number of rows that were left out, by split and reason.
        licenses: number of rows by the licence of their source.
    """

    criteria: list[str]
    rows: Counter[str] = field(default_factory=Counter)
    left_out: dict[str, Counter[str]] = field(default_factory=dict)
    licenses: Counter[str] = field(default_factory=Counter)


def export_training_sets(criterion: str, name: FormatName, output: Path) -> Export:
    """Write <split>.jsonl for each split that has rows, and README.md, into a new directory.

    Args:
        criterion: whose rows are written; "all" for all criteria in results/synthetic/.
        name: of the format.
        output: the directory; it may exist if it is empty.

    Raises:
        UserError: the directory is not empty, a training set does not exist yet or is damaged, or
            no row is left.
    """
    check_output(output)
    chosen = FORMATS[name]
    criteria = made_criteria() if criterion == ALL else [criterion]
    files = training_files(criteria, chosen.kind)
    written = Export(criteria)
    with atomic_path(output) as directory:
        origin = origin_fields(files, chosen)
        for split in SPLITS:
            write_split(directory / f"{split}.jsonl", split, files[split], chosen, origin, written)
        if not written.rows:
            raise UserError(f"{name} of {criterion}: {no_row_is_left(written)}")
        title = f"{criterion}, {name}"
        about = f"{chosen.about} Criteria: {', '.join(criteria)}. Format: `{name}`."
        languages = languages_of(criteria)
        card = data_card(directory, title=title, about=about, languages=languages)
        card.save(directory / REPOCARD_NAME)
    return written


def check_output(output: Path) -> None:
    """Check that the directory can be written without replacing anything.

    Raises:
        UserError: it is not empty, or is a file.
    """
    if output.exists() and not (output.is_dir() and not any(output.iterdir())):
        raise UserError(
            f"--output {output}: exists already; give a new directory, or remove this one first"
        )


def made_criteria() -> list[str]:
    """Return the criteria that have a directory in results/synthetic/.

    Raises:
        UserError: there is none.
    """
    names = [path.name for path in sorted(synthetic_directory().glob("*")) if path.is_dir()]
    if not names:
        raise UserError(
            f"{synthetic_directory()}: has no training sets to export; make them first: snakemake "
            f"{results.STAGE_LIST.path(stage='synthetic')}, with the options of your run"
        )
    return names


def synthetic_directory() -> Path:
    """Return the directory that has a directory for each criterion."""
    return results.PAIRS.path(criterion=ALL).parents[1]


def training_files(criteria: Sequence[str], kind: str) -> dict[str, dict[str, Path]]:
    """Return the files of each split by criterion.

    Raises:
        UserError: one does not exist.
    """
    files = {
        split: {
            criterion: results.TRAINING_SET.path(criterion=criterion, kind=kind, side=split)
            for criterion in criteria
        }
        for split in SPLITS
    }
    for path in (path for paths in files.values() for path in paths.values()):
        if not path.is_file():
            raise UserError(
                f"{path}: no such file, so there is no {kind} set to export; make it first: "
                f"snakemake {path}, with the options of your run, or correct the criterion"
            )
    return files


def origin_fields(files: dict[str, dict[str, Path]], chosen: Format) -> list[str]:
    """Return which fields of the origin any row of any split has."""
    found = {
        name
        for paths in files.values()
        for _, row in all_rows(paths, chosen)
        for name in ORIGIN
        if row.get(name) is not None
    }
    return [name for name in ORIGIN if name in found]


def all_rows(paths: dict[str, Path], chosen: Format) -> Iterator[tuple[str, Row]]:
    """Yield the criterion and the row of each row of the files of a split."""
    for criterion, path in paths.items():
        for row in iterate_rows(path, needs=chosen.needs):
            yield criterion, row


def write_split(
    path: Path,
    split: str,
    paths: dict[str, Path],
    chosen: Format,
    origin: Sequence[str],
    written: Export,
) -> None:
    """Write the rows of a split, and count them; without rows, write no file."""
    left_out = written.left_out.setdefault(split, Counter())
    with row_writer(path) as write:
        for criterion, row in all_rows(paths, chosen):
            if reason := chosen.reason(row):
                left_out[reason] += 1
                continue
            known = {name: str(row.get(name) or "") for name in origin}
            write({"id": row["id"], "criterion": criterion, **chosen.columns(row), **known})
            written.rows[split] += 1
            if known.get("license"):
                written.licenses[known["license"]] += 1
    if not written.rows[split]:
        path.unlink()
        del written.rows[split]


def no_row_is_left(written: Export) -> str:
    """Return why an export has no row, and what to do."""
    left_out = sum(written.left_out.values(), Counter())
    reasons = ", ".join(f"{count} {reason}" for reason, count in left_out.items())
    return (
        f"no row is left (left out: {reasons or 'none'}); choose another format, or make a larger "
        "training set"
    )
