"""What runs and how: recipes, criteria, the experiment, and the fingerprints of jobs."""
