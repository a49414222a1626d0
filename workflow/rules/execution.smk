"""Where jobs run: how a program is started, the GPUs it leases, what a cluster can run."""

from aligners.cluster.slurm import Demand, check_demands, check_status_command, warn_of_preemption


def python_command(script):
    """Return the function for the command of a program that Python runs, on leased GPUs if any.

    A param that depends on resources makes no job run again: where the workflow lies, and GPUs,
    change no result.
    """

    def command(wildcards, resources):
        return [*lease_gpus(resources), "python", SCRIPTS / f"{script}.py"]

    return command


def lease_gpus(resources):
    """Return the command that leases a job its GPUs where no scheduler gives it some."""
    gpus = resources.get("gpu", 0)
    if workflow.remote_exec or not gpus:
        return []
    return ["python", SCRIPTS / "lease_gpus.py", gpus]


def training_command(script, recipe):
    """Return the function for the command of a training, on the nodes and GPUs of the profile."""

    def command(wildcards, resources, threads):
        nodes = resources.get("nodes", 1)
        if nodes > 1 and not (resources.get("mpi") and resources.get("gpus_per_node")):
            raise WorkflowError(
                f"a training over {nodes} nodes also needs mpi, tasks, gpus_per_node and slurm_extra "
                "among its set-resources in the profile; docs/slurm.md shows them"
            )
        gpus = resources.get("gpu", 0) if nodes == 1 else resources.gpus_per_node
        several = load_recipe(WILDCARDS[recipe], wildcards[recipe]).accelerate
        name = ("cpu", "single")[gpus] if nodes * gpus < 2 else several
        options = [
            "--quiet",
            f"--config_file={find_file(f'config/accelerate/{name}.yaml')}",
            f"--num_machines={nodes}",
            f"--num_processes={max(nodes * gpus, 1)}",
            f"--num_cpu_threads_per_process={max(threads // max(gpus, 1), 1)}",
        ]
        training = SCRIPTS / f"{script}.py"
        if nodes == 1:
            # A free port: two jobs may run on one node.
            accelerate = ["accelerate", "launch", *options, "--main_process_port=0"]
            return [*lease_gpus(resources), *accelerate, training]
        on_each_node = [f"--nodes={nodes}", f"--ntasks={nodes}", f"--gpus-per-node={gpus}"]
        node_program = SCRIPTS / "launch_on_node.py"
        return [resources.mpi, *on_each_node, "python", node_program, *options, training]

    return command


def demand(job):
    """Return what a job asks of a node of a cluster."""

    def amount(name, default=0):
        # What depends on inputs that are not made yet is no number.
        value = job.resources.get(name, default)
        return value if isinstance(value, int) else default

    return Demand(
        job.rule.name,
        partition=job.resources.get("slurm_partition"),
        account=job.resources.get("slurm_account"),
        gpus=amount("gpu") // amount("nodes", 1) + amount("gpus_per_node"),
        cpus=job.threads,
        memory=amount("mem_mb"),
        minutes=amount("runtime"),
    )


def check_cluster():
    """Refuse, before the first job, jobs that the cluster can never run."""
    if workflow.executor_plugin.name == "slurm":
        check_status_command(workflow.executor_settings.status_command)
        queued = [job for job in workflow.dag.needrun_jobs() if not workflow.is_local(job.rule)]
        demands = [demand(job) for job in queued]
        check_demands(demands)
        warn_of_preemption({each.partition for each in demands})
