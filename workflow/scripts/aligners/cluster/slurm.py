"""Checks job requests against the limits of a Slurm cluster before the first job is queued.

`sbatch` accepts jobs that no node can run and jobs whose time limit no partition allows. Such jobs
would wait forever. The limits are read from sinfo, scontrol and sacctmgr.
"""

import getpass
import logging
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aligners.core.errors import UserError

logger = logging.getLogger(__name__)

PROFILE = "profiles/slurm/config.yaml"
# Seconds that Slurm must keep ended jobs, since Snakemake may check them only every three minutes.
MIN_JOB_AGE = 240


@dataclass(frozen=True)
class JobRequest:
    """The resources that a job requests.

    Attributes:
        rule: name of the job's rule.
        partition, account: names in Slurm; None means the cluster's default.
        gpus, cpus, memory: per node; memory in MB.
        minutes: time limit; 0 means the partition's default.
    """

    rule: str
    partition: str | None
    account: str | None
    gpus: int
    cpus: int
    memory: int
    minutes: int


@dataclass(frozen=True)
class NodeGroup:
    """Nodes of a partition with the same limits, in the units of `JobRequest`.

    `names` is Slurm's list of the nodes, such as `gpu[1-3]`.
    """

    names: str
    partition: str
    minutes: int
    gpus: int
    cpus: int
    memory: int


@dataclass(frozen=True)
class Limit:
    """Where a profile requests a resource, and its unit."""

    key: str
    unit: str


# By the attribute of `JobRequest` and of `NodeGroup`.
LIMITS = {
    "gpus": Limit("set-resources, {rule}, gpu", "GPUs"),
    "memory": Limit("set-resources, {rule}, mem_mb", "MB"),
    "minutes": Limit("set-resources, {rule}, runtime", "minutes"),
    "cpus": Limit("set-threads, {rule}", "CPUs"),
}


def check_requests(requests: Iterable[JobRequest]) -> None:
    """Check that the cluster can run all jobs.

    Raises:
        UserError: a request exceeds a limit; the message names the key of the profile.
    """
    nodes = read_nodes(run_slurm("sinfo", "--noheader", "--exact", "--format=%N|%R|%l|%c|%m|%G"))
    accounts = read_accounts()
    for request in dict.fromkeys(requests):
        check_account(request, accounts)
        check_request(request, nodes)


def check_status_command(command: str) -> None:
    """Check that squeue lists ended jobs long enough if it is the status command.

    Raises:
        UserError: the cluster removes ended jobs before Snakemake checks them.
    """
    config = run_slurm("scontrol", "show", "config")
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", config, re.MULTILINE)
    if command == "squeue" and found and int(found[1]) < MIN_JOB_AGE:
        raise UserError(
            f"{PROFILE}, slurm-status-command: this cluster removes a job from the queue "
            f"{found[1]} s after its end (MinJobAge), which is too soon for squeue; set the key to "
            "sacct"
        )


def warn_about_preemption(partitions: set[str]) -> None:
    """Log a warning for each partition that does not restart preempted jobs."""
    for line in run_slurm("scontrol", "show", "partition", "--oneliner").splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if fields["PartitionName"] in partitions and fields.get("PreemptMode") == "CANCEL":
            logger.warning(
                "Partition %s cancels the jobs that it preempts, and Snakemake does not detect "
                "this. If Snakemake waits for a job that squeue does not list, stop Snakemake and "
                "start it again.",
                fields["PartitionName"],
            )


def run_slurm(*command: str) -> str:
    """Return the output of a Slurm command.

    Raises:
        UserError: Slurm is not installed or does not answer.
    """
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=60
        ).stdout
    except FileNotFoundError:
        raise UserError(
            f"{command[0]}: not found; profiles/slurm is for the login node of a Slurm cluster. "
            "On a machine without Slurm, use --profile profiles/workstation"
        ) from None
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"{command[0]}: failed: {error.stderr.strip()}; run again when this command works here"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(
            f"{command[0]}: no reply within a minute; run again when this command works here"
        ) from None


def read_nodes(listing: str) -> list[NodeGroup]:
    """Parse lines of the form nodes|partition|time limit|CPUs|memory|generic resources."""
    return [
        NodeGroup(
            names,
            partition,
            read_minutes(limit),
            sum(int(count) for count in re.findall(r"gpu:(?:[^:,(]+:)?(\d+)", resources)),
            int(cpus),
            int(memory),
        )
        for names, partition, limit, cpus, memory, resources in (
            line.split("|") for line in listing.split()
        )
    ]


def read_minutes(limit: str) -> int:
    """Return the minutes of a time limit of the form [days-][[hours:]minutes:]seconds or infinite.

    >>> read_minutes("1-02:00:00")
    1560
    """
    if limit == "infinite":
        return sys.maxsize
    days, _, clock = limit.rpartition("-")
    hours, minutes, _ = [0, 0, 0, *map(int, clock.split(":"))][-3:]
    return (int(days or 0) * 24 + hours) * 60 + minutes


def read_accounts() -> set[str]:
    """Return the user's accounts, or an empty set if the cluster has no accounting."""
    user = f"user={getpass.getuser()}"
    try:
        listing = run_slurm("sacctmgr", "-n", "-P", "show", "associations", user, "format=account")
    except UserError as error:
        logger.warning("slurm_account is not checked: %s", error)
        return set()
    return set(listing.split())


def check_account(request: JobRequest, accounts: set[str]) -> None:
    """Raise UserError if the account does not belong to the user."""
    if accounts and request.account is not None and request.account.lower() not in accounts:
        raise UserError(
            f"{PROFILE}, default-resources, slurm_account: {request.account!r} is not an account "
            f"of {getpass.getuser()}; use one of {', '.join(sorted(accounts))}"
        )


def check_request(request: JobRequest, nodes: Sequence[NodeGroup]) -> None:
    """Raise UserError if no single node of the partition has all that a job requests."""
    if request.partition is not None:
        names = list(dict.fromkeys(each.partition for each in nodes))
        nodes = [each for each in nodes if each.partition == request.partition]
        if not nodes:
            raise UserError(
                f"{PROFILE}, default-resources, slurm_partition: the cluster has no partition "
                f"{request.partition!r}; use one of {', '.join(names)}"
            )
    if not nodes:
        raise UserError("sinfo: the cluster has no nodes; run again when sinfo lists some")
    closest = min(nodes, key=lambda node: shortage(request, node))
    lacks = [each for each in LIMITS if getattr(closest, each) < getattr(request, each)]
    if lacks:
        place = f"partition {request.partition}" if request.partition else "this cluster"
        keys = " and ".join(LIMITS[each].key.format(rule=request.rule) for each in lacks)
        has = " and ".join(
            f"{getattr(closest, each)} of {getattr(request, each)} {LIMITS[each].unit}"
            for each in lacks
        )
        raise UserError(
            f"{PROFILE}, {keys}: no node of {place} has all that the job requests on one node; the "
            f"closest, {closest.names}, has {has}; request less, or set another slurm_partition "
            "for this rule"
        )


def shortage(request: JobRequest, node: NodeGroup) -> tuple[int, float]:
    """Return how many resources a node has too little of, and the sum of the missing shares."""
    missing = [
        1 - getattr(node, each) / requested
        for each in LIMITS
        if getattr(node, each) < (requested := getattr(request, each))
    ]
    return len(missing), sum(missing)
