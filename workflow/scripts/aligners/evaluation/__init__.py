"""Test inputs, the responses of the LLMs, and the files that AlpacaEval compares."""
