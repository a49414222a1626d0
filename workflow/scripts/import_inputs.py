"""Import a data set from the Hub or a file as test inputs."""

from pathlib import Path

from aligners.configuration.kinds.datasets import DatasetRecipe
from aligners.configuration.kinds.synthesis import SynthesisRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.counts import write_filtered
from aligners.core.program import run
from aligners.core.rows import iterate_rows
from aligners.evaluation.test_inputs import drop_training_questions
from aligners.evaluation.test_inputs import import_dataset as read_dataset


def main(*, dataset: str, splits: list[Path], synthesis: str, output: Path) -> None:
    """Write the questions of a data set to `output`; counts and dropped rows beside it.

    Questions that repeat a training or validation question of any criterion are dropped. `splits`
    are the split files of all criteria.
    """
    near = load_recipe(SynthesisRecipe, synthesis).split.near_duplicates
    rows = read_dataset(dataset, load_recipe(DatasetRecipe, dataset))
    training = [
        row
        for path in splits
        for row in iterate_rows(path, needs=("id", "question", "split"))
        if row["split"] in ("train", "validation")
    ]
    write_filtered(drop_training_questions(rows, training, near.shingle, near.similarity), output)


if __name__ == "__main__":
    run(main)
