"""Sharding of videos over processes, balanced by work."""

from collections.abc import Sequence


def share_of(work: Sequence[int], process: int, processes: int) -> list[int]:
    """Return the items of a process: longest first, each assigned to the least loaded process.

    Args:
        work: Cost of each item, such as frames times objects.
        process: Index of the process, from 0.
        processes: Number of processes.

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
