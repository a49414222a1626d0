"""Inspectors: trained, calibrated, and used."""
