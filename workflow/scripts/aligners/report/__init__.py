"""The report: figures as SVG files, what each section of the page says, and the page itself.

A section has a module that gathers what it says from files (`data_section`), and where it has
figures, one that draws them (`data_figures`).
"""
