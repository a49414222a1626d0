"""Command lines do not grow with the number of comparisons; Linux allows 128 KiB."""

import re
import shutil
from pathlib import Path

from projects import MINIATURE, make_project, run_snakemake
from yaml_edits import set_keys

LONGEST = 64 * 1024
RECIPES = {
    "datasets": ("categories-miniature", 6),
    "backbones": ("gpt2-miniature", 13),
    "external": ("ji-et-al-miniature", 3),
    "judges": ("closed-world", 3),
}


def copy_recipes(project: Path, kind: str, name: str, count: int) -> list[str]:
    """Copy a recipe under several names of usual length, and return the names."""
    names = [f"{name}-as-number-{number:02}" for number in range(count)]
    for copy in names:
        shutil.copy(project / f"config/{kind}/{name}.yaml", project / f"config/{kind}/{copy}.yaml")
    return names


def test_command_lines_of_a_large_configuration_are_short(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    names = {kind: copy_recipes(project, kind, *of) for kind, of in RECIPES.items()}
    # The external aligners need this backbone in the configuration.
    names["backbones"][0] = "gpt2-miniature"
    set_keys(project / MINIATURE, **names)
    reproduced = f"results/reproduction/{names['judges'][0]}/win_rates.md"
    planned = run_snakemake(project, "-n", "-p", "results/report.html", reproduced)
    lengths: dict[str, int] = {}
    for command in re.findall(r"^Shell command: (.*)", planned, re.MULTILINE):
        programs = r"scripts/(?!end_with_snakemake|lease_gpus|launch_on_node)(\w+)\.py"
        program = re.search(programs, command)
        assert program, command[:200]
        lengths[program[1]] = max(lengths.get(program[1], 0), len(command.encode()))
    assert lengths.keys() >= {"judge_comparisons", "write_tables", "list_stage", "write_report"}
    assert {name: length for name, length in lengths.items() if length >= LONGEST} == {}
