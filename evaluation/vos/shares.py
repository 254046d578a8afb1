"""Dividing videos among processes, so that all are done at about the same time."""

from collections.abc import Sequence


def share_of(work: Sequence[int], process: int, processes: int) -> list[int]:
    """Tell which items a process takes: the longest first, each to who has least so far.

    Args:
        work: How much each item is, such as frames times objects.
        process: Which process, from 0.
        processes: How many there are.

    Returns:
        Indices, in ascending order.
    """
    loads = [0] * processes
    taken = []
    for item in sorted(range(len(work)), key=lambda index: (-work[index], index)):
        least = loads.index(min(loads))
        loads[least] += work[item]
        if least == process:
            taken.append(item)
    return sorted(taken)
