"""What the types of values and errors are called in a message."""


def type_name(value: object) -> str:
    """What a value's type is called where it is defined: ``DataFrame``."""
    return type(value).__qualname__


def full_type_name(value: object) -> str:
    """The same with its module, where two may have one name: ``pandas.DataFrame``."""
    return f"{type(value).__module__}.{type(value).__qualname__}"


def raised(error: BaseException) -> str:
    """What an error of somebody else's is and says: ``ValueError: no such column``."""
    return f"{type(error).__name__}: {error}"


def reason(error: BaseException) -> str:
    """The first line of what an error says; what it is, where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
