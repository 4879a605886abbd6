"""What a person sees: pure functions from a view of ``loop`` to text or a Rich renderable."""
