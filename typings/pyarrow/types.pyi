# pyarrow ships no types, and makes much of itself at import: here everything of it is Any.
from typing import Any

def __getattr__(name: str) -> Any: ...
