"""AlpacaEval's own command, run on two files by a judge behind an address."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd


def run_alpaca_eval(
    directory: Path, annotators: Path, address: str
) -> tuple[list[dict[str, Any]], pd.DataFrame]:
    """Compare model_outputs.json with reference_outputs.json of a directory.

    Returns:
        its annotations, and its leaderboard.
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
            "OPENAI_BASE_URL": address,
            "HF_HUB_OFFLINE": "1",
            "XDG_CACHE_HOME": str(directory / ".cache"),
        },
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr[-3000:]
    judged = directory / "judged_by_the_command"
    annotations = json.loads(next(judged.rglob("annotations.json")).read_text())
    return annotations, pd.read_csv(next(judged.rglob("leaderboard.csv")))
