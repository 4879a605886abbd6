"""Pipelines as graphs: components, the handles their calls return, and what can be read off the graph.

Not execution: nothing here runs a step inside a run or touches a store.
"""
