"""Assembles the directory of a squad from the models of an experiment."""

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.core.rows import read_json, write_json
from aligners.correction.saved import aligner_name
from aligners.inspectors.inspector import SavedConfig
from aligners.squads.models import ENCODER, FAMILIAR_QUESTIONS
from aligners.squads.record import (
    FILE_NAME,
    FORMAT,
    EncoderSettings,
    Member,
    SquadRecord,
    file_records,
)
from aligners.synthesis.similarity import load_encoder

DROPPED = "dropped.jsonl"
PACKAGES = ("aligners", "torch", "transformers", "sentence-transformers")


@dataclass(frozen=True)
class Part:
    """What a squad takes for one criterion: its languages, principles, inspector and aligner.

    Attributes:
        inspector, aligner: model directories.
    """

    criterion: str
    languages: Sequence[str]
    principles: str
    inspector: Path
    aligner: Path


@dataclass(frozen=True)
class Design:
    """What a squad is made of.

    Attributes:
        system: one of `aligners.configuration.systems`.
        backbone, inspector: names of the recipes.
        parts: one for each criterion, in order.
        familiar_questions: file of `FamiliarQuestions`.
        encoder: with which the familiar questions were embedded.
        least_rise: of the gate, in logits.
        batch_tokens: tokens in a batch of generation.
    """

    system: str
    backbone: str
    inspector: str
    parts: Sequence[Part]
    familiar_questions: Path
    encoder: EncoderRecipe
    least_rise: float
    batch_tokens: int


def assemble(directory: Path, design: Design) -> SquadRecord:
    """Write the directory of a squad that was not tested yet, and return its record.

    On one file system, the files of the models are hard links and take no space of their own.
    """
    members = []
    for part in design.parts:
        inspector = f"inspectors/{part.criterion}"
        # The criteria of a conditioned aligner share its directory.
        aligner = f"aligners/{aligner_name(part.aligner)}"
        link_files(part.inspector, directory / inspector)
        link_files(part.aligner, directory / aligner)
        settings = read_json(part.inspector / "config.json", SavedConfig)["inspector"]
        members.append(
            Member(
                criterion=part.criterion,
                languages=list(part.languages),
                principles=part.principles,
                threshold=settings["threshold"],
                inspector=inspector,
                aligner=aligner,
            )
        )
    link(design.familiar_questions, directory / FAMILIAR_QUESTIONS)
    load_encoder(design.encoder).save(str(directory / ENCODER), create_model_card=False)
    record = SquadRecord(
        format=FORMAT,
        name=f"{design.backbone} {design.system}",
        system=design.system,
        backbone=design.backbone,
        inspector=design.inspector,
        members=members,
        least_rise=design.least_rise,
        batch_tokens=design.batch_tokens,
        encoder=EncoderSettings(
            max_tokens=design.encoder.max_tokens, batch_size=design.encoder.batch_size
        ),
        held_out=None,
        versions={name: version(name) for name in PACKAGES},
        files=file_records(directory),
    )
    write_record(directory, record)
    return record


def write_record(directory: Path, record: SquadRecord) -> None:
    """Write squad.json."""
    write_json(directory / FILE_NAME, record.model_dump(mode="json"))


def link_files(source: Path, target: Path) -> None:
    """Link or copy the files of a model directory, without training rows that were dropped."""
    for path in sorted(source.rglob("*")):
        if path.is_file() and path.name != DROPPED:
            link(path, target / path.relative_to(source))


def link(source: Path, target: Path) -> None:
    """Make a hard link to a file, or else a copy; a file that exists already stays."""
    if target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source.resolve(), target)
    except OSError:
        shutil.copy2(source, target)
