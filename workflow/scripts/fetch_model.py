"""Fetch a model of the Hub into its cache, for jobs that have no network."""

from pathlib import Path

from aligners.configuration.recipes import FOLDERS, hub_source, load_recipe
from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.core.rows import write_json
from aligners.models.hub import fetch


def main(*, recipe: str, output: Path) -> None:
    """Write which commit was fetched, which files, and their size in bytes.

    `recipe` is a file of config/ without its ending, such as llms/falcon-40b.
    """
    kind, name = recipe.split("/")
    source = hub_source(load_recipe(FOLDERS[kind], name))
    if source is None:
        raise UserError(
            f"config/{recipe}.yaml names no model of the Hub; there is nothing to fetch"
        )
    write_json(output, fetch(source))


if __name__ == "__main__":
    run(main)
