"""One thread at a time in a session: a click of a page may come while a worker tracks."""

import functools
import threading
import weakref
from collections.abc import Callable, Collection
from types import FunctionType
from typing import Any, Protocol, TypeVar

Class = TypeVar("Class", bound=type)
_LOCKED: "weakref.WeakSet[type]" = weakref.WeakSet()  # classes that were decorated


class HasLock(Protocol):
    """What can be locked."""

    lock: "SessionLock"


class SessionLock(type(threading.RLock())):  # type: ignore[misc]  # `RLock` itself is a function
    """A reentrant lock that may be copied and pickled; a copy is a lock of its own, open."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "SessionLock":
        return SessionLock()

    def __reduce__(self) -> tuple[type["SessionLock"], tuple[()]]:
        return SessionLock, ()


def one_thread_at_a_time(*, but: Collection[str]) -> Callable[[Class], Class]:
    """Make every public method and property of a class, its bases' too, hold `self.lock`.

    A method that is added later holds it too, so none can be forgotten. A generator that a method
    returns does not: it has to take the lock for each of its steps. What comes from a base that is
    decorated itself stays as it is.

    Args:
        but: Names that need no lock, because they only hand something out.
    """

    def lock_all(cls: Class) -> Class:
        members: dict[str, object] = {}
        for owner in cls.__mro__[:-1]:
            if owner in _LOCKED:
                break  # it and its bases hold the lock already
            members = {**vars(owner), **members}
        _LOCKED.add(cls)
        for name, member in members.items():
            if name.startswith("_") or name in but:
                continue
            if isinstance(member, FunctionType):
                setattr(cls, name, _locked(member))
            elif isinstance(member, property):
                get, set_, delete = (
                    None if one is None else _locked(one)
                    for one in (member.fget, member.fset, member.fdel)
                )
                setattr(cls, name, property(get, set_, delete, member.__doc__))
        return cls

    return lock_all


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def alone(self: "HasLock", *args: object, **kwargs: object) -> object:
        with self.lock:
            return method(self, *args, **kwargs)

    return alone
