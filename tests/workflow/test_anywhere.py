"""The workflow runs in any directory, with the programs and recipes beside its Snakefile."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from projects import ROOT, environment, make_project

from aligners.core.rows import read_json, read_rows

MINIATURE = "config/miniature.yaml"
TOPICS = "results/synthetic/ethical/topics_deduplicated.jsonl"
QUESTIONS = "results/synthetic/ethical/questions.jsonl"
INPUTS = "results/inputs/synthetic_mixed.jsonl"
INSPECTOR = "results/inspectors/bert-miniature/ethical/metrics.json"


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout of the workflow, in a path with spaces."""
    directory = tmp_path_factory.mktemp("anywhere") / "a clone with spaces"
    directory.mkdir()
    return make_project(directory)


def run(directory: Path, *arguments: str, python: Path | None = None, **variables: str) -> str:
    """Run Snakemake in a directory, which must succeed, and return its output."""
    snakemake = (python or Path(sys.executable)).parent / "snakemake"
    result = subprocess.run(
        [snakemake, "--cores", "2", "--scheduler", "greedy", "--show-failed-logs", *arguments],
        cwd=directory,
        env={**environment(directory), **variables},
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert result.returncode == 0, (result.stdout + result.stderr)[-6000:]
    return result.stdout + result.stderr


def test_two_experiments_share_one_checkout(checkout: Path, tmp_path: Path) -> None:
    """Each has its own directory; recipes there replace the workflow's."""
    snakefile = f"--snakefile={checkout / 'Snakefile'}"
    configuration = f"--configfile={checkout / MINIATURE}"
    for name, questions in (("few", 80), ("more", 150)):
        directory = tmp_path / name
        (directory / "config/synthesis").mkdir(parents=True)
        recipe = (checkout / "config/synthesis/closed-world.yaml").read_text()
        if name == "few":
            (directory / "config/synthesis/own.yaml").write_text(recipe)
        synthesis = "own" if name == "few" else "closed-world"
        values = [f"questions_per_criterion={questions}", f"synthesis={synthesis}"]
        options = [snakefile, configuration, "--config", *values, "--directory", str(directory)]
        run(tmp_path, *options, "--", INPUTS, INSPECTOR)
        assert len(read_rows(directory / QUESTIONS)) == pytest.approx(questions, rel=0.2)
        assert read_rows(directory / INPUTS)
        assert read_json(directory / INSPECTOR)["n"] > 0
        again = run(tmp_path, "-n", *options, "--", INPUTS, INSPECTOR)
        assert "Nothing to be done" in again
    assert not (checkout / "results").exists()


def test_a_moved_checkout_reruns_nothing(checkout: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    here = tmp_path / "here"
    here.mkdir()
    options = ["--directory", str(here), f"--configfile={checkout / MINIATURE}", "--", TOPICS]
    run(tmp_path, f"--snakefile={checkout / 'Snakefile'}", *options)
    other = tmp_path / "moved"
    other.mkdir()
    make_project(other)
    link.symlink_to(other)
    assert "Nothing to be done" in run(
        tmp_path, "-n", f"--snakefile={link / 'Snakefile'}", *options
    )


def test_programs_run_from_a_symlinked_environment(checkout: Path, tmp_path: Path) -> None:
    """Jobs use the Python that runs Snakemake, even if no environment is activated."""
    (tmp_path / ".venv").symlink_to(Path(sys.executable).parents[1])
    path = os.pathsep.join(["/usr/bin", "/bin"])
    run(
        tmp_path,
        f"--snakefile={checkout / 'Snakefile'}",
        f"--configfile={checkout / MINIATURE}",
        "--",
        TOPICS,
        python=tmp_path / ".venv/bin/python",
        PATH=path,
    )
    assert read_rows(tmp_path / TOPICS)


def test_another_workflow_imports_it_as_a_module(checkout: Path, tmp_path: Path) -> None:
    snakefile = f"""
configfile: {str(checkout / MINIATURE)!r}


module aligners:
    snakefile:
        {str(checkout / "Snakefile")!r}
    config:
        config


use rule * from aligners as aligners_*


rule count:
    input:
        "{INPUTS}",
    output:
        "counted.txt",
    shell:
        "wc -l < {{input}} > {{output}}"
"""
    (tmp_path / "Snakefile").write_text(snakefile)
    run(tmp_path, "--", "counted.txt", INSPECTOR)
    assert (tmp_path / "counted.txt").read_text().strip() == "20"
    planned = run(tmp_path, "-n", "--", "counted.txt", INSPECTOR)
    assert "Nothing to be done" in planned


def git(directory: Path, *arguments: str) -> None:
    """Run git with an author and without the user's configuration."""
    author = ["-c", "user.name=Test", "-c", "user.email=test@localhost"]
    subprocess.run(
        ["git", *author, *arguments],
        cwd=directory,
        check=True,
        capture_output=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"},
    )


def test_it_runs_in_the_layout_of_snakedeploy(checkout: Path, tmp_path: Path) -> None:
    """The user's workflow/Snakefile imports a release on GitHub; config/ is beside it.

    Git's configuration replaces GitHub's address with a local repository.
    """
    hosted = tmp_path / "hosted/owner/aligners"
    hosted.mkdir(parents=True)
    make_project(hosted)
    git(hosted, "init", "--quiet")
    git(hosted, "add", "--all")
    git(hosted, "commit", "--quiet", "--message=First")
    git(hosted, "tag", "v1")
    user = tmp_path / "user"
    (user / "workflow").mkdir(parents=True)
    (user / "config").mkdir()
    (user / "config/config.yaml").write_text((ROOT / "tests/miniature" / MINIATURE).read_text())
    (user / "workflow/Snakefile").write_text("""
configfile: "config/config.yaml"


module aligners:
    snakefile:
        github("owner/aligners", path="Snakefile", tag="v1")
    config:
        config


use rule * from aligners
""")
    rewritten = {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{tmp_path / 'hosted'}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
    }
    run(user, "--", INPUTS, INSPECTOR, **rewritten)
    assert len(read_rows(user / INPUTS)) == 20
    assert "Nothing to be done" in run(user, "-n", "--", INPUTS, INSPECTOR, **rewritten)
    # The library, which Snakemake does not unpack itself, is damaged.
    [unpacked] = (user / ".snakemake/aligners").iterdir()
    shutil.rmtree(unpacked / "workflow")
    with pytest.raises(AssertionError, match=r"aligners.*delete the directory") as failed:
        run(user, "-n", "--", INPUTS, **rewritten)
    assert "Traceback" not in str(failed.value)
