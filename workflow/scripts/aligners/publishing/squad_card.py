"""The card of a squad: a README.md that the Hugging Face Hub reads and shows."""

from pathlib import Path

from huggingface_hub import ModelCard, ModelCardData
from scipy.special import expit

from aligners.configuration.results import TRAINING_RECORD
from aligners.core.formats import rate_with_n
from aligners.core.rows import read_json
from aligners.publishing.licenses import non_commercial
from aligners.publishing.model_card import TrainingRecord, data_licenses
from aligners.squads.record import SquadRecord

# No result depends on this module, so fingerprints leave it out.
AFFECTS_RESULTS = False

TEMPLATE = Path(__file__).parent / "templates" / "squad_card.md.j2"


def squad_card(record: SquadRecord, directory: Path) -> ModelCard:
    """Return the card of a squad: metadata for the Hub, its criteria, and how it was tested.

    Args:
        record: of the squad.
        directory: of the squad, with the models and their training.json.

    Raises:
        UserError: the record of a model's training is missing or damaged.
    """
    places = {place for each in record.members for place in (each.aligner, each.inspector)}
    trainings = [
        read_json(directory / place / TRAINING_RECORD, TrainingRecord) for place in sorted(places)
    ]
    licenses = sorted({each["license"] for each in trainings if each["license"]})
    data = ModelCardData(
        # The Hub shows one licence; the card lists all.
        license=licenses[0] if len(licenses) == 1 else None,
        language=list(dict.fromkeys(code for each in record.members for code in each.languages)),
        library_name="aligners",
        pipeline_tag="text-generation",
        tags=["aligners", "squad", "alignment"],
        model_name=record.name,
    )
    return ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        record=record,
        licenses=licenses,
        non_commercial=non_commercial({name for each in trainings for name in data_licenses(each)}),
        thresholds={each.criterion: float(expit(each.threshold)) for each in record.members},
        rate=rate_with_n,
    )
