"""Inspectors: training, calibration and scoring."""
