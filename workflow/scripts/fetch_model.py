"""Download a model from the Hub into the local cache, for jobs that have no network."""

from pathlib import Path

from aligners.configuration.recipes import FOLDERS, hub_source, load_recipe
from aligners.core.errors import UserError
from aligners.core.program import run
from aligners.core.rows import write_json
from aligners.models.hub import fetch


def main(*, recipe: str, output: Path) -> None:
    """Download the model, and write its commit, its files and their size in bytes to `output`.

    `recipe` is the path of a recipe below config/ without .yaml, such as llms/falcon-40b.
    """
    kind, name = recipe.split("/")
    source = hub_source(load_recipe(FOLDERS[kind], name))
    if source is None:
        raise UserError(
            f"config/{recipe}.yaml: the recipe has no model of the Hub to fetch; set the key model"
        )
    write_json(output, fetch(source))


if __name__ == "__main__":
    run(main)
