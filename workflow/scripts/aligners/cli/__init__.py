"""The command `aligners`, a module for each subcommand."""
