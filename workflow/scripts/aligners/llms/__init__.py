"""LLMs: their completions, kept in a ledger, from one of the engines."""
