"""What every program shares: rows, counts, files, progress, errors, and what LLMs are asked."""
