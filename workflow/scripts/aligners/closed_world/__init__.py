"""The closed world: a small world of questions whose good and bad answers are known.

It stands in for every LLM of the workflow without download, key or GPU, and because the truth is
known, everything the workflow makes from it can be measured. A test bench and a tour: what holds
here is no claim about real LLMs.

world      the items and sentences, read from a YAML file
answers    an answer as its parts; rendering, and parsing a text back into them
plans      what an LLM decides to answer, with which violations and defects
writing    the text an LLM then writes
truth      what is known about any question and answer
"""
