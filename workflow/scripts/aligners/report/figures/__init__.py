"""The figures of the report as SVG, with a module for each section."""
