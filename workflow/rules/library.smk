"""The library and the configuration files, before anything else reads them."""

import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError


def workflow_directory():
    """Return the directory of the workflow, after unpacking a hosted one (`github(...)`)."""
    rules_directory = workflow.current_basedir
    if isinstance(rules_directory, (str, Path)) or rules_directory.is_local:
        return Path(str(rules_directory)).parents[1]
    git = rules_directory.hosted_repo.repo.git
    commit = git.rev_list("-1", rules_directory.ref)
    unpacked = Path(".snakemake/aligners", commit).absolute()
    try:
        if not unpacked.exists():
            partial = unpacked.with_suffix(".partial")
            partial.mkdir(parents=True, exist_ok=True)
            git.execute(["git", "--work-tree", str(partial), "checkout", commit, "--", "."])
            partial.rename(unpacked)
        if not (unpacked / "workflow/scripts/aligners").is_dir():
            raise FileNotFoundError(2, "the library is missing")
    except OSError as error:
        raise WorkflowError(
            f"{unpacked}: the workflow cannot be unpacked: {error.strerror}; "
            "delete the directory .snakemake/aligners and run again"
        )
    return unpacked


SCRIPTS = workflow_directory() / "workflow/scripts"
sys.path.insert(0, str(SCRIPTS))

from aligners.configuration.workflow_files import find_file
from aligners.core.errors import UserError
from aligners.core.yaml_files import read_yaml

# If the working directory has no configuration, the workflow's own is used.
OWN_CONFIG = "config/config.yaml"
# The first overrides all others.
CONFIG_FILES = [find_file(path) for path in [*reversed(workflow.overwrite_configfiles), OWN_CONFIG]]

# Snakemake accepts a key that occurs twice, and reports a syntax error without its line. A module's
# configuration comes from the workflow that uses it.
if not workflow.modifier.skip_configfile:
    try:
        for path in CONFIG_FILES:
            read_yaml(path)
    except UserError as error:
        raise WorkflowError(str(error))
