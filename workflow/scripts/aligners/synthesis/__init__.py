"""Synthesis: the teacher writes topics, questions and pairs, which become training sets."""
