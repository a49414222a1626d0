"""Completions of LLMs: an engine generates them, and a ledger stores them."""
