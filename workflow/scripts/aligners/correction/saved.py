"""The directory of a trained aligner: its settings and its tokenizer, without the weights."""

from dataclasses import dataclass
from pathlib import Path

from aligners.configuration.kinds.pretrained import ModelSource
from aligners.configuration.results import TRAINING_RECORD
from aligners.core.completions import Decoding
from aligners.core.rows import read_json
from aligners.correction.backends import AlignerModel
from aligners.correction.input_format import InputFormat, load_format
from aligners.models.pretrained import load_tokenizer


@dataclass(frozen=True)
class SavedAligner:
    """What the directory of an aligner has, before a backend loads its weights."""

    model: AlignerModel
    input_format: InputFormat
    decoding: Decoding
    max_tokens: int


def read_directory(path: Path, input_format: InputFormat | None = None) -> SavedAligner:
    """Read the settings and the tokenizer of an aligner that `train_aligner` wrote.

    Args:
        path: its directory.
        input_format: used in place of that of the directory.

    Raises:
        UserError: the directory is not that of an aligner.
    """
    saved_format, settings = load_format(path)
    used = input_format or saved_format
    source = ModelSource(str(path))
    tokenizer = load_tokenizer(source)
    model = AlignerModel(
        aligner_name(path),
        source,
        str(path),
        settings["dtype"],
        tokenizer,
        used.end_token_ids(tokenizer),
    )
    return SavedAligner(model, used, Decoding(**settings["decoding"]), int(settings["max_tokens"]))


def aligner_name(path: Path) -> str:
    """Return the name of the aligner in a directory: that of its training, or the directory's."""
    record = path / TRAINING_RECORD
    return str(read_json(record)["name"]) if record.is_file() else path.resolve().name
