"""Checks job requests against the limits of a Slurm cluster before the first job is queued.

`sbatch` accepts a job that no node can run, or whose time no partition allows, and such a job waits
forever. The limits are read from sinfo, scontrol and sacctmgr.
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
# Snakemake checks its jobs at least every three minutes.
SECONDS_TO_REMEMBER = 240


@dataclass(frozen=True)
class Demand:
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
class Nodes:
    """Nodes of a partition with the same limits, in the units of `Demand`."""

    partition: str
    minutes: int
    gpus: int
    cpus: int
    memory: int


def check_demands(demands: Iterable[Demand]) -> None:
    """Refuse jobs that the cluster can never run.

    Raises:
        UserError: a request exceeds a limit; the message names the key of the profile.
    """
    nodes = read_nodes(ask("sinfo", "--noheader", "--exact", "--format=%R|%l|%c|%m|%G"))
    accounts = read_accounts()
    for demand in dict.fromkeys(demands):
        check_account(demand, accounts)
        check_demand(demand, nodes)


def check_status_command(command: str) -> None:
    """Refuse squeue as the status command if it drops ended jobs too soon.

    Raises:
        UserError: the cluster drops ended jobs before Snakemake checks them.
    """
    found = re.search(r"^MinJobAge\s*=\s*(\d+)", ask("scontrol", "show", "config"), re.MULTILINE)
    if command == "squeue" and found and int(found[1]) < SECONDS_TO_REMEMBER:
        raise UserError(
            f"{PROFILE}, slurm-status-command: this cluster forgets a job {found[1]} s after its "
            "end (MinJobAge), too soon for squeue; write sacct there"
        )


def warn_of_preemption(partitions: set[str]) -> None:
    """Warn of partitions whose preempted jobs are not restarted."""
    for line in ask("scontrol", "show", "partition", "--oneliner").splitlines():
        fields = dict(word.split("=", 1) for word in line.split() if "=" in word)
        if fields["PartitionName"] in partitions and fields.get("PreemptMode") == "CANCEL":
            logger.warning(
                "Partition %s cancels the jobs that it preempts, and Snakemake does not notice. If "
                "it waits for a job that squeue does not show, interrupt it and start it again.",
                fields["PartitionName"],
            )


def ask(*command: str) -> str:
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
            "Use --profile profiles/workstation on a machine of its own"
        ) from None
    except subprocess.CalledProcessError as error:
        raise UserError(
            f"{command[0]}: the cluster does not answer: {error.stderr.strip()}"
        ) from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{command[0]}: the cluster does not answer within a minute") from None


def read_nodes(listing: str) -> list[Nodes]:
    """Read lines of partition|time limit|CPUs|memory|generic resources."""
    return [
        Nodes(
            partition,
            read_minutes(limit),
            sum(int(count) for count in re.findall(r"gpu:(?:[^:,(]+:)?(\d+)", resources)),
            int(cpus),
            int(memory),
        )
        for partition, limit, cpus, memory, resources in (
            line.split("|") for line in listing.split()
        )
    ]


def read_minutes(limit: str) -> int:
    """Return the minutes of a time limit: [days-][[hours:]minutes:]seconds, or infinite.

    >>> read_minutes("1-02:00:00")
    1560
    """
    if limit == "infinite":
        return sys.maxsize
    days, _, clock = limit.rpartition("-")
    hours, minutes, _ = [0, 0, 0, *map(int, clock.split(":"))][-3:]
    return (int(days or 0) * 24 + hours) * 60 + minutes


def read_accounts() -> set[str]:
    """Return the user's accounts; an empty set if the cluster has no accounting."""
    user = f"user={getpass.getuser()}"
    try:
        listing = ask("sacctmgr", "-n", "-P", "show", "associations", user, "format=account")
    except UserError as error:
        logger.warning("accounts are not checked: %s", error)
        return set()
    return set(listing.split())


def check_account(demand: Demand, accounts: set[str]) -> None:
    """Refuse an account that does not belong to the user."""
    if accounts and demand.account is not None and demand.account.lower() not in accounts:
        raise UserError(
            f"{PROFILE}, default-resources, slurm_account: {demand.account!r} is no account of "
            f"{getpass.getuser()}; give one of {', '.join(sorted(accounts))}"
        )


def check_demand(demand: Demand, nodes: Sequence[Nodes]) -> None:
    """Refuse a job that fits no node of its partition."""
    if demand.partition is not None:
        names = list(dict.fromkeys(each.partition for each in nodes))
        nodes = [each for each in nodes if each.partition == demand.partition]
        if not nodes:
            raise UserError(
                f"{PROFILE}, default-resources, slurm_partition: the cluster has no partition "
                f"{demand.partition!r}; give one of {', '.join(names)}"
            )
    where = f"partition {demand.partition}" if demand.partition else "this cluster"
    own = f"set-resources, {demand.rule}"
    for key, wanted, offered, unit in [
        (f"{own}, gpu", demand.gpus, [each.gpus for each in nodes], "GPUs on a node"),
        (f"{own}, mem_mb", demand.memory, [each.memory for each in nodes], "MB on a node"),
        (f"{own}, runtime", demand.minutes, [each.minutes for each in nodes], "minutes"),
        (f"set-threads, {demand.rule}", demand.cpus, [each.cpus for each in nodes], "CPUs"),
    ]:
        most = max(offered)
        if wanted > most:
            raise UserError(
                f"{PROFILE}, {key}: {wanted} {unit} are asked for, and {where} has at most {most}; "
                "ask for less, or name another slurm_partition for this rule"
            )
