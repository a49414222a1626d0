"""Loads the models of a squad from its directory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.kinds.inference import Inference
from aligners.configuration.systems import SYSTEMS
from aligners.configuration.validation import read_section
from aligners.correction import loading
from aligners.correction.aligner import IN_PROCESS, Aligner
from aligners.correction.gate import Gate, PaperGate
from aligners.correction.problems import AlignerCorrection
from aligners.correction.squad import PAPER_THRESHOLD, Align, SquadModels
from aligners.inspectors.inspector import Inspector
from aligners.squads.record import Member, SquadRecord
from aligners.synthesis.familiarity import FamiliarQuestions
from aligners.synthesis.similarity import embedder

ENCODER = "encoder"
FAMILIAR_QUESTIONS = "familiar_questions.safetensors"

# Returns for each question whether it is like those of the training.
Familiar = Callable[[Sequence[str]], list[bool]]


def load_inference(path: Path | None) -> Inference:
    """Return where aligners generate, from a YAML file; in this process if there is none.

    Args:
        path: of a file with the keys that a backbone's recipe has under `inference`.

    Raises:
        UserError: the file cannot be read, or a key or value is invalid.
    """
    return IN_PROCESS if path is None else read_section(Inference, path)


def load_aligners(directory: Path, record: SquadRecord, inference: Inference) -> dict[str, Aligner]:
    """Load the aligner of each criterion; a conditioned one is loaded once.

    Raises:
        UserError: a model cannot be loaded, or a server cannot be used.
    """
    paths = {member.criterion: directory / member.aligner for member in record.members}
    loaded = loading.load_aligners(paths.values(), inference, record.batch_tokens)
    return {criterion: loaded[path] for criterion, path in paths.items()}


def load_models(
    directory: Path, record: SquadRecord, aligners: Mapping[str, Aligner], take_turns: bool
) -> SquadModels:
    """Load the inspectors of a squad, and join them with its aligners.

    Args:
        directory: of the squad.
        record: of the squad.
        aligners: by criterion.
        take_turns: whether one thread at a time uses the aligners: they generate in this process,
            or on servers of which only one runs at a time.

    Raises:
        UserError: a model cannot be loaded.
    """
    gated = SYSTEMS[record.system].gated
    thresholds = {
        member.criterion: member.threshold if gated else PAPER_THRESHOLD
        for member in record.members
    }
    inspectors = {
        member.criterion: Inspector.from_directory(directory / member.inspector)
        for member in record.members
    }
    corrects = {
        member.criterion: with_principles(aligners[member.criterion], member)
        for member in record.members
    }
    if take_turns:
        lock = Lock()
        corrects = {criterion: shared(align, lock) for criterion, align in corrects.items()}
    gate = Gate(record.least_rise) if gated else PaperGate()
    return SquadModels(corrects, inspectors, thresholds, gate)


def close_all(aligners: Iterable[Aligner]) -> None:
    """Stop the servers of aligners."""
    for aligner in aligners:
        aligner.close()


def with_principles(aligner: Aligner, member: Member) -> Align:
    """Return what corrects by a criterion; a conditioned aligner reads its principles."""
    if aligner.input_format.reads_principles:
        return partial(aligner.align, principles=member.principles)
    return aligner.align


def shared(align: Align, lock: Lock) -> Align:
    """Return an aligner that waits until no other thread uses one with the same lock."""

    def align_alone(
        questions: Sequence[str], responses: Sequence[str]
    ) -> Sequence[AlignerCorrection]:
        with lock:
            return align(questions, responses)

    return align_alone


def load_familiar(directory: Path, record: SquadRecord) -> Familiar:
    """Load the sentence encoder, and what decides whether a question is familiar.

    Raises:
        UserError: a file is damaged.
    """
    known = FamiliarQuestions.load(directory / FAMILIAR_QUESTIONS)
    embed, lock = embedder(encoder_recipe(directory, record)), Lock()

    def familiar(questions: Sequence[str]) -> list[bool]:
        with lock:
            return known.familiar(embed, questions)

    return familiar


def encoder_recipe(directory: Path, record: SquadRecord) -> EncoderRecipe:
    """Return the recipe of a squad's encoder."""
    settings = record.encoder
    return EncoderRecipe(
        model=str(directory / ENCODER),
        max_tokens=settings.max_tokens,
        batch_size=settings.batch_size,
    )
