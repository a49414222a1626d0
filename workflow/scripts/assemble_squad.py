"""Assemble a squad: a directory with its models and settings, tested, with checksums and a card."""

from pathlib import Path

from aligners.configuration.criteria import languages_of, load_principles, numbered
from aligners.configuration.kinds.backbones import BackboneRecipe
from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.recipes import load_recipe
from aligners.core.program import run
from aligners.core.rows import atomic_path, read_rows
from aligners.publishing.squad_card import squad_card
from aligners.squads.assemble import Design, Part, assemble, write_record
from aligners.squads.held_out import held_out_rates
from aligners.squads.squad import Squad

FIELDS = ("id", "question", "response", "label")


def main(
    *,
    system: str,
    criteria: list[str],
    backbone: str,
    inspector: str,
    aligners: list[Path],
    inspectors: list[Path],
    familiar_questions: Path,
    encoder: str,
    margin: float,
    tests: list[Path],
    seed: int,
    output: Path,
) -> None:
    """Write the directory of a squad to `output`, with its record squad.json and its card.

    `aligners` and `inspectors` are the model directories of the criteria, and `tests` the test sets
    of the inspectors, in the same order. The conditioned aligner is given once for each criterion.
    `familiar_questions` are embeddings by `encoder` (`embed_questions`). `margin` is the rise in
    logits that the gate requires. The squad is tested on held-out texts, chosen by `seed`.
    """
    recipe = load_recipe(BackboneRecipe, backbone)
    design = Design(
        system,
        backbone,
        inspector,
        [
            Part(name, languages_of([name]), numbered(load_principles(name)), scores, corrects)
            for name, scores, corrects in zip(criteria, inspectors, aligners, strict=True)
        ],
        familiar_questions,
        load_recipe(EncoderRecipe, encoder),
        margin,
        recipe.batch_tokens,
    )
    sets = {name: read_rows(path, FIELDS) for name, path in zip(criteria, tests, strict=True)}
    with atomic_path(output) as partial:
        record = assemble(partial, design)
        with Squad.load(partial, inference=recipe.inference) as squad:
            rates = held_out_rates(squad, sets, seed)
        tested = record.model_copy(update={"held_out": rates})
        write_record(partial, tested)
        squad_card(tested, partial).save(partial / "README.md")


if __name__ == "__main__":
    run(main)
