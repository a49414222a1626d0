"""Where jobs run: a Slurm cluster, or a machine whose GPUs are leased."""
