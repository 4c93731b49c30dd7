"""Reads a TUF repository the way a python-tuf user would: refresh, then download every target.

Prints one JSON line with the versions it came to trust; exits 1 when anything is refused. With --find it looks
one target up instead, and prints the length that is signed and its own peak memory.
"""

import argparse
import json
import os
import resource
import sys

import tuf
from tuf.api.metadata import Metadata
from tuf.ngclient import Updater


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    for name in ("root", "metadata-url", "targets-url", "out", "state"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--find")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    with open(options.root, "rb") as file:
        bootstrap = file.read()
    updater = Updater(
        metadata_dir=options.state,
        metadata_base_url=options.metadata_url,
        target_dir=options.out,
        target_base_url=options.targets_url,
        bootstrap=bootstrap,
    )
    updater.refresh()

    if options.find is not None:
        found = updater.get_targetinfo(options.find)
        if found is None:
            raise LookupError(f"{options.find} was not found")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(json.dumps({"length": found.length, "peakKiB": peak}))
        return

    trusted = {
        role: Metadata.from_file(os.path.join(options.state, f"{role}.json")).signed
        for role in ("root", "timestamp", "snapshot", "targets")
    }
    names = sorted(trusted["targets"].targets)
    for name in names:
        target = updater.get_targetinfo(name)
        if target is None:
            raise LookupError(f"{name} is listed but was not found")
        path = os.path.join(options.out, *name.split("/"))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        updater.download_target(target, path)

    versions = {role: signed.version for role, signed in trusted.items()}
    print(json.dumps({"client": f"python-tuf {tuf.__version__}", **versions, "downloaded": names}))


try:
    main()
except Exception as error:  # the boundary of the program: whatever it is, it is a refusal
    print(f"{type(error).__name__}: {error}", file=sys.stderr)
    sys.exit(1)
