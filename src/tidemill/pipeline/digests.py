"""What a project says of its own types: how an object of them is digested, where Python cannot tell."""

from collections.abc import Callable
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")

_registered: "WeakKeyDictionary[type, Callable[[Any], Any]]" = WeakKeyDictionary()
"""Held weakly: a project's file that is loaded again makes its types anew."""


def digest_of(kind: type[T]) -> Callable[[Callable[[T], Any]], Callable[[T], Any]]:
    """Say what of an object of a type counts, for steps that use one which is made outside them.

    The decorated function takes the object and returns bytes or plain values; where these are the same, the
    object counts as the same. It serves subclasses too, unless they have their own::

        @tm.digest_of(Lexicon)
        def lexicon(value):
            return [value.path, value.version]
    """

    def register(function: Callable[[T], Any]) -> Callable[[T], Any]:
        _registered[kind] = function
        return function

    return register


def registered(value: object) -> Callable[[Any], Any] | None:
    """The function that was registered for the type of ``value``, or for the nearest type above it."""
    return next((_registered[kind] for kind in type(value).__mro__ if kind in _registered), None)
