"""A process in place of the one with the models: what it does stands in the response.

As a program, it speaks the protocol of `aligners.serving.models.process`. A response that contains
"bad" gets its words "bad" replaced by "good". Other words in a response make the process slow, fail
or end.
"""

import json
import os
import signal
import sys
import threading
import time
from typing import Any

CRITERIA = ["ethical", "factual"]
THRESHOLDS = {"ethical": 0.5, "factual": 0.4}
COMMAND = (sys.executable, __file__)


def correct(question: str, response: str) -> dict[str, Any]:
    """Return the correction of a response, as the fields of a `Correction`."""
    scores = {"ethical": 0.1 if "bad" in response else 0.9, "factual": 0.8}
    if question.startswith("unfamiliar"):
        return result(response, "skipped", "unfamiliar_question", scores, [])
    if "bad" not in response:
        return result(response, "unchanged", "above_threshold", scores, [])
    text = response.replace("bad", "good")
    accepted = "stubborn" not in response
    reason = "accepted" if accepted else "rose_too_little"
    turn = {
        "criterion": "ethical",
        "before": scores,
        "margins_before": {"ethical": -2.2, "factual": 1.8},
        "aligned_response": text,
        "after": {**scores, "ethical": 0.95},
        "margins_after": {"ethical": 2.9, "factual": 1.8},
        "accepted": accepted,
        "reason": reason,
        "lowered": None,
    }
    if accepted:
        return result(text, "corrected", reason, scores, [turn])
    return result(response, "unchanged", reason, scores, [turn])


def result(
    text: str, action: str, reason: str, scores: dict[str, float], trace: list[dict[str, Any]]
) -> dict[str, Any]:
    return {"text": text, "action": action, "reason": reason, "scores": scores, "trace": trace}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request, unless the response ends the process."""
    number, response = request["id"], request["response"]
    if "kill the process" in response:
        os.kill(os.getpid(), signal.SIGKILL)
    if "hang the process" in response:
        time.sleep(3600)
    if "cuda memory" in response:
        return {"id": number, "error": "out of memory", "criterion": "ethical"}
    if "late squad" in response:
        return {"id": number, "late": True}
    if "nonsense squad" in response:
        return {"id": number, "correction": {"text": ""}}
    if "slow squad" in response:
        time.sleep(0.5)
    done = correct(request["question"], response)
    if request["do"] == "inspect":
        return {"id": number, "scores": done["scores"]}
    return {"id": number, "correction": done}


def main(load_seconds: str = "0", fatal: str = "") -> None:
    """Answer requests until the input ends; one thread answers, as the models do."""
    time.sleep(float(load_seconds))
    if fatal:
        write({"fatal": fatal})
        sys.exit(1)
    ready = {"name": "scripted", "system": "squad", "criteria": CRITERIA, "thresholds": THRESHOLDS}
    write({"ready": ready})
    for line in sys.stdin:
        request = json.loads(line)
        if "cancel" in request:
            write({"id": request["cancel"], "cancelled": True})
            continue
        if "ping" in request:
            write({"busy": 0.0})
            continue
        if "unanswered squad" in request["response"]:
            continue
        if "slow squad" in request["response"]:
            threading.Thread(target=lambda r=request: write(answer(r)), daemon=True).start()
        else:
            write(answer(request))


LOCK = threading.Lock()


def write(message: dict[str, Any]) -> None:
    with LOCK:
        print(json.dumps(message), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
