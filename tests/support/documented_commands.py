"""Stand-ins for the programs that command blocks of the documents call.

A test runs the blocks of a page with bash in a temporary copy of the project, and PATH leads to
these stand-ins alone: a program is run dry (snakemake, make), checked and not run (python), run for
real where it changes nothing but the copy (REAL), or not run for a reason (NOT_RUN). Any other
command is not found, and the message says what to do.
"""

import functools
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from projects import ROOT, make_project
from python_blocks import check_python
from result_names import is_known

from aligners.configuration import results
from aligners.core.hashes import file_hash, short_hash

# Run as they are typed; none that runs other programs. Their paths have to lie in the copy.
READING = ("cat", "cut", "diff", "grep", "head", "ls", "sha256sum", "sort", "tail")
WRITING = (
    "chmod",
    "cp",
    "git",
    "mkdir",
    "mv",
    "rm",
    "sed",
    "tee",
    "touch",
    "tr",
    "true",
    "uniq",
    "wc",
)
REAL = (*READING, *WRITING)
NOT_RUN = {
    "dot": "draws a graph, which is made here; Graphviz is not one of the project's packages",
    "pip": "installs packages from the network",
    "pre-commit": "is installed by the user",
    "ollama": "a server of the user's",
    "vllm": "a server, with an environment of its own",
    "sglang": "a server, with an environment of its own",
    "litellm": "a server, with an environment of its own",
    "curl": "asks a server",
    "openssl": "writes random bytes",
    "conda": "installed by the user",
    "mkdocs": "a server that does not end; `make check` builds the site",
    "tensorboard": "a server that does not end",
    "apt-get": "changes the machine",
    "squeue": "asks a cluster",
    "sinfo": "asks a cluster",
    "sacctmgr": "asks a cluster",
    "scancel": "asks a cluster",
    "tests/slurm/install": "changes the machine",
    ".ci/run": "runs all tests",
}
UNKNOWN = (
    "a command of an unknown kind. Add it to tests/support/documented_commands.py: to REAL if it "
    "changes nothing outside the copy, to NOT_RUN with the reason why it cannot run, or as a "
    "handler. A command with a <placeholder> belongs into a block marked `sh template`."
)
# A block ends at the first command that fails, and says which it was.
PRELUDE = f"""
set -E -e -o pipefail
trap 'echo "in line $LINENO of the block: $BASH_COMMAND" >&2' ERR
command_not_found_handle() {{ printf '%s: %s\\n' "$1" {shlex.quote(UNKNOWN)} >&2; return 127; }}
"""
COPIED = [
    "Makefile",
    "pyproject.toml",
    "mkdocs.yml",
    *ROOT.glob("constraints*.txt"),
    *ROOT.glob("*.md"),
]
COPIED_DIRECTORIES = ["docs", "benchmarks", "tests/slurm"]
# Files of docs/examples/, and where a demo has them.
DEMO_RESULTS = {
    "scorecard.json": results.SCORECARD.path(),
    "squad.jsonl": results.ALIGNED.path(
        dataset="synthetic_mixed",
        llm="closed-world-base",
        backbone="llama-closed-world",
        system="squad",
    ),
}
# Subcommands of `aligners`.
QUICK = ("import", "scorecard", "show")
ENVIRONMENT_PROGRAMS = ("snakemake", "aligners", "python", "pip", "tensorboard", "mkdocs")


# The copy


def make_checkout(directory: Path) -> Path:
    """Make a copy of the project with stand-ins beside it, and return the copy."""
    checkout = directory / "aligners"
    checkout.mkdir()
    make_project(checkout)
    for name in COPIED:
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, checkout)
    for name in COPIED_DIRECTORIES:
        ignored = shutil.ignore_patterns("__pycache__", "results")
        shutil.copytree(ROOT / name, checkout / name, ignore=ignored)
    for name, place in DEMO_RESULTS.items():
        (checkout / place).parent.mkdir(parents=True)
        if (ROOT / "docs/examples" / name).exists():
            shutil.copy(ROOT / "docs/examples" / name, checkout / place)
    # Other pairs stand for those of the demo, which are too large to be in the project.
    pairs = checkout / results.FILTERED_PAIRS.path(criterion="ethical")
    pairs.parent.mkdir(parents=True)
    shutil.copy(ROOT / "resources/criteria/brief/pairs.jsonl", pairs)
    for name in {*REAL, *NOT_RUN, *HANDLERS}:
        if "/" not in name:
            write_stand_in(directory / "bin" / name)
        elif os.access(ROOT / name, os.X_OK):
            write_stand_in(checkout / name, name)
    make_environment(checkout / ".venv")
    return checkout


def make_environment(directory: Path) -> None:
    """Make a virtual environment of stand-ins."""
    for name in ENVIRONMENT_PROGRAMS:
        write_stand_in(directory / "bin" / name)
    for name in ("bin/activate", "installed", "real"):
        (directory / name).touch()


def write_stand_in(path: Path, name: str = "") -> None:
    """Write a program that calls this module under the name of the program it stands in for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{__file__}" "{name or path.name}" "$@"\n')
    path.chmod(0o755)


def run_block(checkout: Path, script: str, succeeded: Path) -> tuple[int, str]:
    """Run the commands of a block in the copy; return the exit status and what was printed.

    Args:
        checkout: from `make_checkout`.
        script: the block.
        succeeded: directory that keeps which dry runs have succeeded; they are not repeated.
    """
    home = checkout.parent
    # Before the script, so that its lines keep their numbers.
    (home / "prelude.sh").write_text(PRELUDE)
    (home / "block.sh").write_text(script)
    result = subprocess.run(
        ["/bin/bash", home / "block.sh"],
        cwd=checkout,
        env={**environment(home), "SUCCEEDED": str(succeeded)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=600,
    )
    return result.returncode, result.stdout


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a block: a home and a PATH of its own, no network, no colours."""
    return {
        "HOME": str(home),
        "USER": "user",
        "BASH_ENV": str(home / "prelude.sh"),
        "PATH": str(home / "bin"),
        "REAL_PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
        "LANG": "C.UTF-8",
    }


# The stand-ins


def run(*command: str) -> int:
    """Run a program for real, with the PATH of the tests, and return its exit status."""
    variables = {**os.environ, "PATH": os.environ["REAL_PATH"]}
    return subprocess.run(command, env=variables, check=False).returncode


def run_dry(*arguments: str) -> int:
    """Run Snakemake dry, each command once. There is a results/ afterwards, as of a real run."""
    Path("results").mkdir(exist_ok=True)
    options = [argument for argument in arguments if argument not in ("-n", "--dry-run")]
    if "--report" in options:
        # It reads results, which a dry run does not make: here, its targets are checked.
        place = options.index("--report")
        del options[place : place + 2]
    succeeded = Path(os.environ["SUCCEEDED"]) / state(options)
    if succeeded.exists():
        return 0
    status = run(str(Path(sys.executable).parent / "snakemake"), "-n", *options)
    if status == 0:
        succeeded.touch()
    return status


def state(options: list[str]) -> str:
    """Return a hash of a command line and of the files of the copy that a page may write."""
    files = [path for name in ("config", "profiles", "resources") for path in Path(name).rglob("*")]
    contents = {str(path): file_hash(path) for path in sorted(files) if path.is_file()}
    return short_hash([options, contents])


def run_make_dry(*arguments: str) -> int:
    """Let make print what it would do: the target has to be there."""
    variables = {**os.environ, "PATH": os.environ["REAL_PATH"], "LC_ALL": "C"}
    command = ["make", "--dry-run", *arguments]
    result = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    print(result.stdout + result.stderr)
    # A file without a rule, such as docs/, is a target for make.
    return result.returncode or int("Nothing to be done for" in result.stdout)


def call_aligners(*arguments: str) -> int:
    """Parse the arguments of `aligners`, and run what is quick where its input is there."""
    from aligners.cli import main

    for name, command in list(main.app._subcommands.items()):
        main.app.command(name=name)(only_if_quick(name, command.target))
    sys.argv = ["aligners", *arguments]
    main.main()
    return 0


def only_if_quick(name: str, function: Callable[..., None]) -> Callable[..., None]:
    """Return a function of the same signature, which runs only where that is quick."""

    @functools.wraps(function)
    def stand_in(*given: Any, **options: Any) -> None:
        paths = [value for value in given if isinstance(value, Path)]
        if name == "import":
            paths = [Path(table) for table in given if not table.startswith("hub:")]
        read = [*paths, *(options[key] for key in ("config",) if key in options)]
        for path in read:
            if not path.exists() and not is_known(path.as_posix()):
                sys.exit(f"{path}: no such file, and none that the workflow makes")
        needed = [DEMO_RESULTS["scorecard.json"]] if name == "scorecard" else read
        if name in QUICK and all(path.exists() for path in needed):
            function(*given, **options)
        if name == "correct":
            options["output"].touch()

    return stand_in


def check_call_of_python(*arguments: str) -> int:
    """Check that the code, the module or the program exists; make a virtual environment."""
    match arguments:
        case ["-m", "venv", directory]:
            make_environment(Path(directory))
        case ["-m", "pip", *_]:
            pass
        case ["-m", module, *_]:
            package = module.split(".")[0]
            if package not in NOT_RUN and find_spec(package) is None:
                sys.exit(f"python -m {module}: no such module")
        case ["-c", code]:
            check_python(code)
        case [program, *options] if not program.startswith("-"):
            check_program(Path(program), options)
        case _:
            sys.exit(f"python {' '.join(arguments)}: {UNKNOWN}")
    return 0


def check_program(program: Path, options: list[str]) -> None:
    """Compile a program; parse the options of one of the workflow's, and make its output."""
    compile(program.read_text(encoding="utf-8"), program, "exec")
    if program.parent != Path("workflow/scripts"):
        return
    # Slow to import, and seldom needed.
    import tyro

    main = import_module(program.stem).main

    @functools.wraps(main)
    def stand_in(**values: Any) -> None:
        values["output"].touch()

    tyro.cli(stand_in, args=options)


def run_in_the_copy(name: str, *arguments: str) -> int:
    """Run a program for real where its paths are in the copy.

    A result that is not there, since all runs are dry, is not read: its name has to be right.
    """
    home = Path(os.environ["HOME"])
    for argument in arguments:
        if not Path(argument).expanduser().absolute().resolve().is_relative_to(home.resolve()):
            sys.exit(f"{name} {argument}: this path is outside of the copy of the project")
    missing = [text for text in arguments if is_missing_result(text)]
    for text in missing:
        if not is_known(text):
            sys.exit(f"{name} {text}: not a file that the workflow makes")
    return 0 if missing else run(name, *arguments)


def is_missing_result(argument: str) -> bool:
    """Return whether an argument names a file under results/ that is not there."""
    return argument.startswith("results/") and not Path(argument).exists()


HANDLERS = {
    "snakemake": run_dry,
    "make": run_make_dry,
    "aligners": call_aligners,
    "python": check_call_of_python,
    "python3": check_call_of_python,
}


def is_program(name: str) -> bool:
    """Return whether there is a stand-in for a program, named as in a command."""
    return Path(name).name in {*REAL, *NOT_RUN, *HANDLERS}


def main(name: str, *arguments: str) -> int:
    """Stand in for a program."""
    if name in HANDLERS:
        return HANDLERS[name](*arguments)
    if name in NOT_RUN:
        # Its neighbour in a pipe does not fail.
        sys.stdin.read()
        return 0
    return run_in_the_copy(name, *arguments)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
