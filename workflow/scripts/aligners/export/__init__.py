"""The training sets in the formats of other trainers.

formats    the columns of each format, and which rows it leaves out
files      the command: writes the files of a format, with a card
"""
