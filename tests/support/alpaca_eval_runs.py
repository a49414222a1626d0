"""Runs AlpacaEval's own command on two files, with a judge at a URL."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd


def run_alpaca_eval(
    directory: Path, annotators: Path, url: str
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Compare model_outputs.json with reference_outputs.json of a directory.

    Args:
        directory: of the two files; the command also runs there.
        annotators: AlpacaEval's configuration of the judge.
        url: of the judge's API.

    Returns:
        The command's annotations and its leaderboard.
    """
    result = subprocess.run(
        [
            str(Path(sys.executable).parent / "alpaca_eval"),
            "evaluate",
            "--model_outputs=model_outputs.json",
            "--reference_outputs=reference_outputs.json",
            f"--annotators_config={annotators}",
            "--output_path=judged_by_the_command",
            "--precomputed_leaderboard=None",
            "--fn_metric=get_winrate",
            "--sort_by=win_rate",
            "--caching_path=None",
        ],
        cwd=directory,
        env={
            **os.environ,
            "OPENAI_API_KEY": "none",
            "OPENAI_BASE_URL": url,
            "HF_HUB_OFFLINE": "1",
            "XDG_CACHE_HOME": str(directory / ".cache"),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    judged = directory / "judged_by_the_command"
    annotations = json.loads(next(judged.rglob("annotations.json")).read_text())
    return annotations, pd.read_csv(next(judged.rglob("leaderboard.csv")))
