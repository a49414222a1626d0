"""Loads several aligners, which can share a server."""

from collections.abc import Iterable
from pathlib import Path

from aligners.configuration.kinds.inference import Inference
from aligners.correction.aligner import BATCH_TOKENS, IN_PROCESS, Aligner
from aligners.correction.backends import load_backends
from aligners.correction.saved import read_directory


def load_aligners(
    paths: Iterable[Path], inference: Inference = IN_PROCESS, batch_tokens: int = BATCH_TOKENS
) -> dict[Path, Aligner]:
    """Load each of the directories once, with one server for all where `inference` says so.

    A server stops with this process, or when an aligner that uses it is closed.

    Args:
        paths: directories that `train_aligner` wrote; they may repeat.
        inference: where the corrections are generated.
        batch_tokens: maximum number of tokens in a batch in this process.

    Raises:
        UserError: a directory is not that of an aligner, or a server cannot be used.
    """
    saved = {Path(path): read_directory(Path(path)) for path in dict.fromkeys(paths)}
    models = [each.model for each in saved.values()]
    backends = load_backends(models, inference, batch_tokens)
    return {
        path: Aligner.from_saved(each, backend)
        for (path, each), backend in zip(saved.items(), backends, strict=True)
    }
