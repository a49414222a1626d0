"""From topics to training sets: what the teacher writes, cleaned and split."""
