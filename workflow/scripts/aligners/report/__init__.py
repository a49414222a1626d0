"""The report: figures as SVG files, the sections of the page, and the page itself.

Each section has a module that reads its contents from results/, such as `data_section`, and a
module in figures/ that draws its figures, such as `draw_data`. Both take an Experiment.
"""
