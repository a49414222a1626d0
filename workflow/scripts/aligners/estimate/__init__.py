"""Estimate of a run before it starts: requests, tokens, time and money of each generating stage.

stages     the requests of each stage, as the configuration determines them
verdicts   the requests of the judges
sample     sends some of these requests and measures tokens and time
figures    scales the sample to the whole run; without a sample, computes upper bounds
table      the command: prints the figures
"""
