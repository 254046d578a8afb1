"""Session lock: serializes threads, such as a web page's clicks and a tracking worker."""

import functools
import threading
import weakref
from collections.abc import Callable, Collection
from types import FunctionType
from typing import Any, Protocol, TypeVar

Class = TypeVar("Class", bound=type)
_LOCKED: "weakref.WeakSet[type]" = weakref.WeakSet()  # classes that were decorated


class HasLock(Protocol):
    """An object with a lock."""

    lock: "SessionLock"


class SessionLock(type(threading.RLock())):  # type: ignore[misc]  # `RLock` itself is a function
    """A reentrant lock that can be copied and pickled; a copy is a new, released lock."""

    def __deepcopy__(self, memo: dict[int, Any]) -> "SessionLock":
        return SessionLock()

    def __reduce__(self) -> tuple[type["SessionLock"], tuple[()]]:
        return SessionLock, ()


def one_thread_at_a_time(*, but: Collection[str]) -> Callable[[Class], Class]:
    """Make every public method and property of a class, its bases' too, hold `self.lock`.

    This includes methods added later. A generator that a method returns is not covered: it has to
    take the lock for each step. Members of a decorated base are left unchanged.

    Args:
        but: Names without a lock, because they only return something.
    """

    def lock_all(cls: Class) -> Class:
        members: dict[str, object] = {}
        for owner in cls.__mro__[:-1]:
            if owner in _LOCKED:
                break  # it and its bases are already locked
            members = {**vars(owner), **members}
        _LOCKED.add(cls)
        for name, member in members.items():
            if name.startswith("_") or name in but:
                continue
            if isinstance(member, FunctionType):
                setattr(cls, name, _locked(member))
            elif isinstance(member, property):
                get, set_, delete = (
                    None if accessor is None else _locked(accessor)
                    for accessor in (member.fget, member.fset, member.fdel)
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
