"""Loads the models of a squad from its directory."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from aligners.configuration.kinds.encoders import EncoderRecipe
from aligners.configuration.systems import SYSTEMS
from aligners.correction.aligner import Aligner
from aligners.correction.gate import Gate, PaperGate
from aligners.correction.problems import Correction
from aligners.correction.squad import PAPER_THRESHOLD, Align, SquadModels
from aligners.inspectors.inspector import Inspector
from aligners.squads.record import Member, SquadRecord
from aligners.synthesis.familiarity import FamiliarQuestions
from aligners.synthesis.similarity import embedder

ENCODER = "encoder"
FAMILIAR_QUESTIONS = "familiar_questions.safetensors"

# Returns for each question whether it is like those of the training.
Familiar = Callable[[Sequence[str]], list[bool]]


class SharedInspector:
    """An inspector that one thread at a time uses: a tokenizer is not safe for two."""

    def __init__(self, inspector: Inspector, threshold: float):
        self.inspector, self.threshold, self.lock = inspector, threshold, Lock()

    def log_odds(self, questions: Sequence[str], responses: Sequence[str]) -> list[float | None]:
        """Return the log odds of "aligned" (`Inspector.log_odds`)."""
        with self.lock:
            return self.inspector.log_odds(questions, responses)


def load_models(directory: Path, record: SquadRecord) -> SquadModels:
    """Load the inspectors and aligners of a squad.

    Raises:
        UserError: a model cannot be loaded.
    """
    gated = SYSTEMS[record.system].gated
    thresholds = {
        member.criterion: member.threshold if gated else PAPER_THRESHOLD
        for member in record.members
    }
    inspectors = {
        member.criterion: SharedInspector(
            Inspector.from_directory(directory / member.inspector), thresholds[member.criterion]
        )
        for member in record.members
    }
    gate = Gate(record.least_rise) if gated else PaperGate()
    return SquadModels(load_aligners(directory, record), inspectors, thresholds, gate)


def load_aligners(directory: Path, record: SquadRecord) -> dict[str, Align]:
    """Load each aligner once, and return what corrects by each criterion."""
    loaded = {
        place: Aligner.from_directory(directory / place, batch_tokens=record.batch_tokens)
        for place in dict.fromkeys(member.aligner for member in record.members)
    }
    locks = {place: Lock() for place in loaded}
    return {
        member.criterion: shared(
            with_principles(loaded[member.aligner], member), locks[member.aligner]
        )
        for member in record.members
    }


def with_principles(aligner: Aligner, member: Member) -> Align:
    """Return what corrects by a criterion; a conditioned aligner reads its principles."""
    if aligner.input_format.reads_principles:
        return partial(aligner.align, principles=member.principles)
    return aligner.align


def shared(align: Align, lock: Lock) -> Align:
    """Return an aligner that one thread at a time uses."""

    def align_alone(questions: Sequence[str], responses: Sequence[str]) -> Sequence[Correction]:
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
