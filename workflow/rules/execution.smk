"""How jobs run and end: the commands that start programs, GPU leases, and a cluster's limits."""

import signal
import threading
import time
from contextlib import suppress

import psutil

from aligners.cluster.slurm import (
    JobRequest,
    check_requests,
    check_status_command,
    warn_about_preemption,
)
from aligners.core.program import last_message


def python_command(script):
    """Return the function for the command of a Python program.

    Snakemake does not compare params that depend on resources. So no job runs again if the workflow
    was moved or the GPUs changed, since neither changes a result.
    """

    def command(wildcards, resources):
        return [*job_starter(resources), "python", SCRIPTS / f"{script}.py"]

    return command


def job_starter(resources):
    """Return the words before a program: it ends with Snakemake, on leased GPUs if it needs any.

    No GPUs are leased where a scheduler assigns them.
    """
    starter = ["python", SCRIPTS / "end_with_snakemake.py"]
    gpus = resources.get("gpu", 0)
    if workflow.remote_exec or not gpus:
        return starter
    return [*starter, "python", SCRIPTS / "lease_gpus.py", gpus]


def training_command(script, recipe):
    """Return the function for the command of a training on the profile's nodes and GPUs."""

    def command(wildcards, resources, threads):
        nodes = resources.get("nodes", 1)
        if nodes > 1 and not (resources.get("mpi") and resources.get("gpus_per_node")):
            raise WorkflowError(
                f"the profile, key set-resources.{script}: a training on {nodes} nodes also needs mpi, "
                "tasks, gpus_per_node and slurm_extra; add them as in docs/slurm.md"
            )
        gpus = resources.get("gpu", 0) if nodes == 1 else resources.gpus_per_node
        several = load_recipe(WILDCARDS[recipe], recipe_of(wildcards[recipe])).accelerate
        name = ("cpu", "single")[gpus] if nodes * gpus < 2 else several
        options = [
            "--quiet",
            # The recipe's dtype decides, not a launch file.
            "--mixed_precision=no",
            f"--config_file={find_file(f'config/accelerate/{name}.yaml')}",
            f"--num_machines={nodes}",
            f"--num_processes={max(nodes * gpus, 1)}",
            f"--num_cpu_threads_per_process={max(threads // max(gpus, 1), 1)}",
        ]
        training = SCRIPTS / f"{script}.py"
        if nodes == 1:
            # 0 selects a free port: several jobs may run on one node.
            accelerate = ["accelerate", "launch", *options, "--main_process_port=0"]
            return [*job_starter(resources), *accelerate, training]
        tasks = [f"--nodes={nodes}", f"--ntasks={nodes}", f"--gpus-per-node={gpus}"]
        on_each_node = [resources.mpi, *tasks, "python", SCRIPTS / "launch_on_node.py"]
        return [*job_starter(resources), *on_each_node, *options, training]

    return command


def job_request(job):
    """Return the resources that a job requests of one node of a cluster."""

    def amount(name, default=0):
        # The value is not a number if it depends on inputs that do not exist yet.
        value = job.resources.get(name, default)
        return value if isinstance(value, int) else default

    return JobRequest(
        job.rule.name,
        partition=job.resources.get("slurm_partition"),
        account=job.resources.get("slurm_account"),
        gpus=amount("gpu") // amount("nodes", 1) + amount("gpus_per_node"),
        cpus=job.threads,
        memory=amount("mem_mb"),
        minutes=amount("runtime"),
    )


def check_cluster():
    """Raise UserError before the first job if the cluster can never run one of the jobs."""
    if workflow.executor_plugin.name == "slurm":
        check_status_command(workflow.executor_settings.status_command)
        queued = [job for job in workflow.dag.needrun_jobs() if not workflow.is_local(job.rule)]
        requests = [job_request(job) for job in queued]
        check_requests(requests)
        warn_about_preemption({each.partition for each in requests})


def end_jobs_on_sigterm():
    """After SIGTERM, end the jobs that run on this machine, not only start no more.

    Snakemake alone waits until they end by themselves, which takes hours for a training. The first
    signal counts for a program: a training writes a checkpoint after it.
    """
    end_snakemake = signal.getsignal(signal.SIGTERM)

    def end_jobs():
        ended = set()
        # Jobs that were selected before the signal may start after it.
        while True:
            new = set(psutil.Process().children()) - ended
            for process in new:
                with suppress(psutil.NoSuchProcess):
                    process.terminate()
            ended |= new
            time.sleep(0.5)

    def receive(*signal_and_frame):
        end_snakemake(*signal_and_frame)
        threading.Thread(target=end_jobs, daemon=True).start()

    signal.signal(signal.SIGTERM, receive)


def report_failures():
    """Print the last message of each failed job, whatever the profile shows of their logs."""
    for job in workflow.scheduler.failed:
        for log in job.log:
            if message := last_message(Path(log)):
                logger.error(f"{job.rule.name}, {log}:\n{message}")
