"""Several training seeds: the jobs of a dry run, and the names and seeds in their commands."""

import re
from collections import Counter
from pathlib import Path

from projects import MINIATURE, fail_snakemake, run_snakemake
from yaml_edits import set_keys

TARGETS = [f"results/{stage}/all" for stage in ("inspectors", "aligners", "alpaca_eval", "tables")]
TARGETS += ["results/reproduction/closed-world/win_rates.md", "results/closed_world/scorecard.json"]
# On two data sets, with two criteria, four more systems and three references.
ADDED = {
    "train_inspector": 2,
    "write_inspector_card": 2,
    "train_aligner": 3,
    "write_aligner_card": 3,
    "assemble_squad": 3,
    "apply_aligner": 2 * 3,
    "apply_squad": 2 * 3,
    "write_alpaca_eval": 2 * 6 * 3,
}


def plan(project: Path, *seeds: int) -> str:
    """Return the jobs of a dry run with some training seeds, and their commands."""
    set_keys(project / MINIATURE, seeds=list(seeds))
    return run_snakemake(project, "-n", "--printshellcmds", *TARGETS)


def jobs(planned: str) -> Counter[str]:
    """Return the number of jobs of each rule."""
    found = re.findall(r"^(\w+) +(\d+)$", planned, re.MULTILINE)
    return Counter({name: int(count) for name, count in found if name != "total"})


def options(planned: str, program: str, *names: str) -> set[tuple[str, ...]]:
    """Return the values of some options in all commands of a program."""
    commands = [line for line in planned.splitlines() if f"/{program}.py " in line]
    return {
        tuple(re.split(r" --| 2> ", command.split(f" --{name} ")[1])[0] for name in names)
        for command in commands
    }


def test_each_seed_has_its_own_models_and_corrections(project: Path) -> None:
    one, two = plan(project, 0), plan(project, 0, 7)
    assert jobs(two) - jobs(one) == ADDED
    assert not jobs(one) - jobs(two)
    # What is made with the first seed does not change, fingerprints included.
    trainings = [set(re.findall(r"train_\w+\.py .*", planned)) for planned in (one, two)]
    assert len(trainings[0]) == 6 and trainings[0] < trainings[1]

    aligners = options(two, "train_aligner", "backbone", "seed", "model")
    assert {place for place in aligners if "/ethical/" in place[2]} == {
        ("gpt2-miniature", "0", "results/aligners/gpt2-miniature/ethical/model"),
        ("gpt2-miniature", "7", "results/aligners/gpt2-miniature.seed7/ethical/model"),
    }
    assert {seed for _, seed, model in aligners if "ji-et-al" in model} == {"0"}
    inspectors = options(two, "train_inspector", "inspector", "seed", "model")
    assert {place for place in inspectors if "/ethical/" in place[2]} == {
        ("bert-miniature", "0", "results/inspectors/bert-miniature/ethical/model"),
        ("bert-miniature", "7", "results/inspectors/bert-miniature.seed7/ethical/model"),
    }
    for program in ("generate_topics", "sample_inputs", "write_alpaca_eval", "compare_systems"):
        assert options(two, program, "seed") == {("0",)}


def test_a_squad_has_aligners_and_inspectors_of_one_seed(project: Path) -> None:
    squads = options(plan(project, 0, 7), "assemble_squad", "aligners", "inspectors", "output")
    assert len(squads) == 2 * 3
    for squad in squads:
        # Two aligners, two inspectors and the output.
        seeds = [path.partition(".seed")[2][:1] for path in " ".join(squad).split()]
        assert seeds in ([""] * 5, ["7"] * 5)


def test_a_seed_that_is_not_listed_is_no_target(project: Path) -> None:
    set_keys(project / MINIATURE, seeds=[0, 7])
    target = "results/aligners/gpt2-miniature.seed{}/ethical/model"
    run_snakemake(project, "-n", target.format(7))
    assert "MissingRuleException" in fail_snakemake(project, "-n", target.format(8))
