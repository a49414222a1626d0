"""Resources of jobs: limits of a Slurm cluster, and GPU leases on one machine."""
