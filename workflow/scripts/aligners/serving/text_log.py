"""The log of texts, which only an option turns on: rows that `aligners import` reads again."""

import json
import logging
import os
import time
from pathlib import Path

from aligners.core.errors import UserError
from aligners.serving.exchange import Verdict

AFFECTS_RESULTS = False

logger = logging.getLogger(__name__)


class TextLog:
    """A JSON Lines file to which questions, responses and corrections are appended."""

    def __init__(self, path: Path):
        """Open the file; only its owner can read a new one.

        Raises:
            UserError: it cannot be written.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as error:
            raise UserError(
                f"--log-texts {path}: {error.strerror}; give a file that can be written"
            ) from None
        self.file = os.fdopen(number, "a", encoding="utf-8")

    def write(self, request: str, question: str, verdict: Verdict) -> None:
        """Append a row.

        Args:
            request: id of the request.
            question: that the response answers.
            verdict: with the response and its correction.
        """
        row = {
            "request": request,
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "question": question,
            "response": verdict.response,
            "aligned_response": verdict.text,
            "action": verdict.action,
            "reason": verdict.reason,
            "scores": verdict.scores,
        }
        try:
            self.file.write(json.dumps(row) + "\n")
            self.file.flush()
        except OSError as error:  # such as a full disk, which is no reason to give no answer
            logger.error("request %s: its texts are not logged: %s", request, error)

    def close(self) -> None:
        """Close the file."""
        self.file.close()
