"""Imports: data that users bring, read from the formats in which people have them."""
