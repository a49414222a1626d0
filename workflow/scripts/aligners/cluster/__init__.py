"""Resources of jobs: checks on a Slurm cluster, GPU leases on one machine."""
