"""What runs and how: recipes, criteria, the experiment, and the fingerprint of a job."""
