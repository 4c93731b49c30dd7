"""python-tuf adds one target to targets, signs the three roles and writes them; prints the peak of its memory in KiB."""

import resource
import sys
from pathlib import Path

from cryptography.hazmat.primitives.serialization import load_pem_private_key
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, TargetFile

folder = Path(sys.argv[1])
signer = CryptoSigner(load_pem_private_key((folder / "key.pem").read_bytes(), None))
root = Metadata.from_file(str(folder / "1.root.json"))
targets = Metadata.from_file(str(folder / "1.targets.json"))
snapshot = Metadata.from_file(str(folder / "1.snapshot.json"))
timestamp = Metadata.from_file(str(folder / "timestamp.json"))
for name, role in (("targets", targets), ("snapshot", snapshot), ("timestamp", timestamp)):
    root.verify_delegate(name, role)

targets.signed.targets["one-more.img"] = TargetFile.from_data("one-more.img", b"a new", ["sha256"])
targets.signed.version += 1
targets.sign(signer)
data = targets.to_bytes()
snapshot.signed.meta["targets.json"] = MetaFile.from_data(targets.signed.version, data, ["sha256"])
snapshot.signed.version += 1
snapshot.sign(signer)
parent = snapshot.to_bytes()
timestamp.signed.snapshot_meta = MetaFile.from_data(snapshot.signed.version, parent, ["sha256"])
timestamp.signed.version += 1
timestamp.sign(signer)
(folder / "2.targets.json").write_bytes(data)
(folder / "2.snapshot.json").write_bytes(parent)
(folder / "next-timestamp.json").write_bytes(timestamp.to_bytes())
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
