"""Aligners: inspectors and aligners that correct any LLM's answers without touching the LLM.

The method is that of "Aligners: Decoupling LLMs and Alignment" (arXiv 2403.04224).
"""

__version__ = "0.1.0"
