"""Tables that depend on sizes alone: made once, whoever asks, and part of compiled graphs."""

from collections.abc import Callable
from functools import lru_cache, wraps
from typing import TypeVar, cast

import torch

Make = TypeVar("Make", bound=Callable[..., object])


def constant_table(kept: int) -> Callable[[Make], Make]:
    """Keep what a function returned for its latest arguments, all of them hashable.

    The table is an ordinary tensor even where the first caller is in inference mode, so that
    training may read it later on.

    Args:
        kept: For how many sets of arguments.
    """

    def decorate(make: Make) -> Make:
        @lru_cache(maxsize=kept)
        def kept_table(*args: object) -> object:
            with torch.inference_mode(mode=False), torch.no_grad():
                return make(*args)

        @wraps(make)
        def table(*args: object) -> object:
            # a compiler looks through the cache, and makes the table part of its graph
            return make(*args) if torch.compiler.is_compiling() else kept_table(*args)

        # what `lru_cache` offers, for whoever counts or starts anew
        vars(table).update(cache_info=kept_table.cache_info, cache_clear=kept_table.cache_clear)
        return cast(Make, table)

    return decorate
