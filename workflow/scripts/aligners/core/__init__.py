"""Shared code of all programs: rows, counts, files, progress, errors, requests to LLMs."""
