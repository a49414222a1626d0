"""The closed world: a small world of questions whose good and bad answers are known.

It replaces every LLM of the workflow and needs no download, key or GPU. Because the truth is known,
every result of the workflow can be measured. Its results do not apply to real LLMs. An answer is
the text of a response or of a correction.

world      items and sentences, read from a YAML file
answers    an answer as its parts; converts parts to text and back
plans      the content of answers and pairs: violations and planted defects
writing    the text of topics, questions and pairs, with defects
prompts    finds the task of a prompt
truth      verdicts on questions, answers and pairs
scorecard  scores of inspectors, filters and systems, measured against the truth
judge      an LLM judge with known biases
judge_server        a server with the judge
category_questions  writes the dataset with categories
"""
