"""Verdicts as tables, rates with intervals, tests, and the tables that show them."""
