"""Fetch a model of the Hub into its cache, for jobs that have no network."""

from pathlib import Path

from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.rows import write_json
from aligners.models.hub import fetch


def main(*, recipe: str, output: Path) -> None:
    """Write which commit was fetched, which files, and their size in bytes.

    `recipe` is a file of config/ without its ending, such as llms/falcon-40b.
    """
    write_json(output, fetch(load_recipe(*recipe.split("/"))))


if __name__ == "__main__":
    run(main)
