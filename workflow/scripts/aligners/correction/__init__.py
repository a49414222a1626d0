"""Aligners and squads: training, and correction of responses."""
