"""Aligners: small models that score and correct the responses of any LLM without changing it.

The method is that of "Aligners: Decoupling LLMs and Alignment" (arXiv 2403.04224).
"""

__version__ = "0.1.0"
