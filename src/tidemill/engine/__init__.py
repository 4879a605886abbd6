"""Runs a graph: plans what is new, computes it in warm workers, records every step, and says why.

Used through ``run.run``, ``why.why``, ``artifacts.load_value`` and ``ledger.mark_interrupted``. Importing the
room loads nothing, since each worker does.
"""
