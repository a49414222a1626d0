"""Read the table of an import into rows of its kind."""

from pathlib import Path

from aligners.configuration.kinds.imports import ImportRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.synthesis.imported import import_rows


def main(*, imported: str, output: Path) -> None:
    """Write the rows of an import to `output`; counts and dropped records beside it."""
    write_filtered(import_rows(imported, load_recipe(ImportRecipe, imported)), output)


if __name__ == "__main__":
    run(main)
