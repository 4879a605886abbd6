"""The command line: it translates what is typed into calls of ``loop``, and what comes back into text."""
