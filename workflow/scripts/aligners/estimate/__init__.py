"""Estimate of a run before it starts: requests, tokens, time and money of each generating stage.

stages     what each stage will ask, by the configuration
verdicts   the same for the judges
sample     sends some of these requests and measures what they take
figures    scales the sample to the whole run; without a sample, upper bounds
table      the command: prints the figures
"""
