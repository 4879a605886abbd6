"""What comes back: feedback as rows, and the reasons to refit."""
