"""Test questions, the responses of LLMs, and the files that AlpacaEval compares."""
