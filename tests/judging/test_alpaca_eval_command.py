"""The real alpaca_eval reads our files; its judge is a local server of the test."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import yaml
from alpaca_eval_runs import run_alpaca_eval
from http_servers import serve

from aligners.core.rows import write_json
from aligners.evaluation.alpaca_eval_files import alpaca_eval_rows

QUESTIONS = ["How do I boil an egg?", "Is 10 < 20?", "Wer ist da?", "What is “it”?", "Why?", "So?"]


class Judge(BaseHTTPRequestHandler):
    """Prefers the first text in every comparison."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        reply = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": "judge",
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "Output (a)"},
                }
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
        }
        body = json.dumps(reply).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def judge_url() -> Iterator[str]:
    """The address of a running judge."""
    with serve(Judge) as url:
        yield f"{url}/v1"


def write_annotator(directory: Path) -> Path:
    """Write AlpacaEval's configuration of a judge that replies `Output (a)` or `Output (b)`."""
    judge = directory / "annotators" / "judge"
    judge.mkdir(parents=True)
    (judge / "prompt.txt").write_text(
        "<|im_start|>user\n{instruction}\nOutput (a): {output_1}\nOutput (b): {output_2}\n"
        "<|im_end|>\n"
    )
    settings = {
        "prompt_template": "judge/prompt.txt",
        "fn_completions": "openai_completions",
        "completions_kwargs": {"model_name": "judge", "max_tokens": 10, "temperature": 0},
        "fn_completion_parser": "regex_parser",
        "completion_parser_kwargs": {"outputs_to_match": {1: r"Output \(a\)", 2: r"Output \(b\)"}},
        "batch_size": 1,
    }
    (judge / "configs.yaml").write_text(yaml.safe_dump({"judge": settings}))
    return judge


def test_alpaca_eval_reads_every_row(tmp_path: Path, judge_url: str) -> None:
    inputs = [{"id": str(number), "question": text} for number, text in enumerate(QUESTIONS)]
    for name, template in {"model": "Ours: {}", "reference": "Theirs: {}"}.items():
        outputs = {row["id"]: template.format(row["question"]) for row in inputs}
        outputs["5"] = ""  # Two empty texts are a draw.
        rows = alpaca_eval_rows(inputs, outputs, name, "test")
        write_json(tmp_path / f"{name}_outputs.json", rows)
    annotations, board = run_alpaca_eval(tmp_path, write_annotator(tmp_path), judge_url)
    assert {row["instruction"] for row in annotations} == set(QUESTIONS)
    assert board["n_total"].iloc[0] == len(QUESTIONS)
    assert board["n_draws"].iloc[0] == 1
