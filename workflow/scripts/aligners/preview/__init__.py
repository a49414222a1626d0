"""Preview of a run: the first rows of each stage, with the prompts as sent, before the run.

stages     the stages in their order
synthesis  topics, questions, pairs
responses  responses of LLMs
verdicts   verdicts of judges
asking     sends the requests, each LLM in a process of its own
exchange   a prompt, its completion, and the rows that the stage makes of it
"""
