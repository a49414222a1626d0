"""Aligners and squads: trained, and used on responses."""
