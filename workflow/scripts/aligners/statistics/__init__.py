"""Statistics of verdicts: rates with intervals, tests, and the tables that show them."""
