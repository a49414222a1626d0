"""Records which judge gave the verdicts, and refuses to mix the verdicts of two judges."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from aligners.configuration import results
from aligners.configuration.fingerprint import llm_identity
from aligners.configuration.kinds.judges import JudgeRecipe
from aligners.configuration.recipes import deciding_recipe, recipe_path
from aligners.core.errors import UserError
from aligners.core.rows import read_json, write_json

SUFFIX = ".judge.json"


class JudgeRecord(BaseModel):
    """The content of a record."""

    identity: dict[str, Any]
    served_models: list[str]


def judge_identity(judge: str) -> dict[str, Any]:
    """Return the keys that decide a judge's verdicts, of its recipe and of its LLM's recipe."""
    recipe = deciding_recipe(JudgeRecipe, judge)
    llm = {"llm": llm_identity(recipe["llm"])} if "llm" in recipe else {}
    return {**recipe, **llm}


def check_judge(judge: str) -> None:
    """Check that a judge's recipe has not changed since its first verdicts.

    Raises:
        UserError: it has.
    """
    current = judge_identity(judge)
    for path in record_paths(judge):
        recorded = read_json(path, JudgeRecord)["identity"]
        keys = sorted(
            key for key in recorded.keys() | current if recorded.get(key) != current.get(key)
        )
        if keys:
            directory = path.parents[1]
            raise UserError(
                f"{recipe_path(JudgeRecipe, judge)}: the judge has changed ({', '.join(keys)}) "
                f"since the verdicts in {directory}, and verdicts of two judges cannot be mixed. "
                "To keep both, give the changed judge a new name. To replace the verdicts, delete "
                f"{directory}. To continue with them, undo the change. Nothing has been deleted"
            )


def record_judge(judge: str, usage: Path, served_models: Iterable[str]) -> None:
    """Record which judge gave a job's verdicts, and the model names that its server reported.

    Each job writes its own record, {llm}.judge.json beside its usage file, because two jobs can
    end at the same time.

    Raises:
        UserError: the recipe has changed, or the endpoint used several models.
    """
    check_judge(judge)
    path = usage.with_name(usage.name.replace(".usage.json", SUFFIX))
    write_json(path, {"identity": judge_identity(judge), "served_models": sorted(served_models)})
    records = [read_json(each, JudgeRecord) for each in record_paths(judge)]
    models = {model for record in records for model in record["served_models"]}
    if len(models) > 1:
        raise UserError(
            f"{recipe_path(JudgeRecipe, judge)}: the endpoint used several models under one name "
            f"({', '.join(sorted(models))}), and their verdicts cannot be mixed. Set the key model "
            f"in the recipe of the judge's LLM to one of them, then delete {path.parents[1]}"
        )


def record_paths(judge: str) -> list[Path]:
    """Return the records of a judge's jobs, those by the paper's protocol included."""
    return sorted(results.DIRECTORY.glob(f"*/{judge}/*/*{SUFFIX}"))
