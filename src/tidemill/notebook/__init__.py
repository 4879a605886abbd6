"""The loop in a notebook or a script: ``project = tm.open()``, then ``project.run(...)``. Decides nothing."""
