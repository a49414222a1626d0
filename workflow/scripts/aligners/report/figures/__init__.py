"""The figures of the report as SVG, a module for each section."""
