"""Labelling: rows of a dataset put in a queue, given to people one at a time, and committed with their labels.

Every rule is here: which rows, in what order, who gets which and for how long, when a label stands, what goes
to the referee, what becomes a commit. A face asks and shows.
"""
