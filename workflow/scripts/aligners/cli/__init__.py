"""The command `aligners`, with a module for each subcommand."""
