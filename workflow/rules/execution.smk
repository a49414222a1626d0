"""How jobs run: the commands that start programs, GPU leases, and checks of a cluster's limits."""

from aligners.cluster.slurm import (
    JobRequest,
    check_requests,
    check_status_command,
    warn_about_preemption,
)


def python_command(script):
    """Return the function for the command of a Python program, on leased GPUs if it needs any.

    Snakemake does not compare params that depend on resources. So no job runs again if the workflow
    was moved or the GPUs changed, since neither changes a result.
    """

    def command(wildcards, resources):
        return [*lease_gpus(resources), "python", SCRIPTS / f"{script}.py"]

    return command


def lease_gpus(resources):
    """Return the command that leases GPUs to a job, if no scheduler assigns them."""
    gpus = resources.get("gpu", 0)
    if workflow.remote_exec or not gpus:
        return []
    return ["python", SCRIPTS / "lease_gpus.py", gpus]


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
        several = load_recipe(WILDCARDS[recipe], wildcards[recipe]).accelerate
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
            return [*lease_gpus(resources), *accelerate, training]
        on_each_node = [f"--nodes={nodes}", f"--ntasks={nodes}", f"--gpus-per-node={gpus}"]
        node_program = SCRIPTS / "launch_on_node.py"
        return [resources.mpi, *on_each_node, "python", node_program, *options, training]

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
