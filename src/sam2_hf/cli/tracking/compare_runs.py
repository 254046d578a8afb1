"""`sam2-hf compare`: tell on which frames two runs on one video differ."""

import argparse

from sam2_hf.cli.console import say
from sam2_hf.writers.run_comparison import compare_runs


def run(arguments: argparse.Namespace) -> int:
    """Compare, and draw the differences if a picture is asked for.

    Raises:
        DataError: The results cannot be read, or are of different videos.
        VideoError: The video cannot be read.
        OutputError: The picture cannot be written.
    """
    found = compare_runs(arguments.before, arguments.after)
    for compared in found.objects.values():
        say(compared.summary())
    for which, object_ids in (("first", found.only_before), ("second", found.only_after)):
        if object_ids:
            say(f"only in the {which} run: object {', '.join(map(str, object_ids))}")
    files = []
    if arguments.picture is not None:
        files.append(found.save(arguments.picture, arguments.video))
        say(f"  {files[0]}")
    arguments.report.add(str(arguments.after), files, **found.described())
    return int(arguments.report.code)
