"""Estimate of a run before it begins: requests, tokens, time and money of each generating stage.

stages     what each stage will ask, by the configuration; the same prompts and decodings
sample     some of these requests asked for real, and what they took
figures    what follows for the whole run, or without a sample the bounds
table      the command: figures in the terminal
"""
