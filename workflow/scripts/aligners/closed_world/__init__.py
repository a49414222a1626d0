"""The closed world: a small world of questions whose good and bad answers are known.

It replaces every LLM of the workflow and needs no download, key or GPU. Because the truth is known,
every result of the workflow can be measured. Results here are no claim about real LLMs.

world      the items and sentences, read from a YAML file
answers    an answer as its parts; converts parts to text and back
plans      the content of an answer: its violations and planted defects
writing    the text of topics, questions and pairs, with defects
prompts    the task that a prompt sets
truth      verdicts on any question, answer and topic
scorecard  scores of inspectors, filters and systems by the truth
judge      an LLM judge with known biases; judge_server makes it a server
"""
