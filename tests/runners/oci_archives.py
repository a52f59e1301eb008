"""Image archives in the OCI layout, as build tools and copying tools write them, for tests."""

import gzip
import hashlib
import io
import json
import tarfile

import pyarrow as pa

from runners.admission import AdmissionRules, host_architecture
from runners.limits import MIB

RULES = AdmissionRules(
    archive_bytes=64 * MIB, layer_bytes=64 * MIB, total_bytes=64 * MIB, layers=8, files=9000, seconds=30
)
SQUEEZE = {
    "plain": bytes,
    "gzip": gzip.compress,
    "zstd": lambda content: pa.Codec("zstd").compress(content, asbytes=True),
    # Several frames, as parallel compressors write them.
    "zstd frames": lambda content: b"".join(
        pa.Codec("zstd").compress(content[at : at + 999], asbytes=True) for at in range(0, len(content), 999)
    ),
}
PASSWD = {"etc/passwd": b"worker:x:1000:1001::/:\n"}


def tar(files):
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as archive:
        for name, content in files.items():
            made = tarfile.TarInfo(name)
            made.size = len(content)
            made.mode = 0o4755 if name.startswith("suid") else 0o644
            archive.addfile(made, io.BytesIO(content))
    return whole.getvalue()


def sha(content):
    return hashlib.sha256(content).hexdigest()


def descriptor(content, **more):
    return {"mediaType": "x", "digest": f"sha256:{sha(content)}", "size": len(content), **more}


def config_of(layers, **config):
    return json.dumps(
        {
            "architecture": host_architecture(),
            "os": "linux",
            "config": {"User": "1000", "Entrypoint": ["/app"], **config},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(layer)}" for layer in layers]},
        }
    ).encode()


def oci(path, layers, *, squeeze="plain", whole="plain", nested=False, others=(), config=None):
    """Write an OCI layout, as build tools and copying tools do."""
    config = config or config_of(layers)
    stored = [SQUEEZE[squeeze](layer) for layer in layers]
    manifest = json.dumps(
        {"schemaVersion": 2, "config": descriptor(config), "layers": [descriptor(item) for item in stored]}
    ).encode()
    blobs = [config, manifest, *stored]
    index = {"schemaVersion": 2, "manifests": [descriptor(manifest), *others]}
    if nested:
        inner = json.dumps(index).encode()
        blobs.append(inner)
        index = {"schemaVersion": 2, "manifests": [descriptor(inner)]}
    files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}
    files |= {f"blobs/sha256/{sha(blob)}": blob for blob in blobs}
    path.write_bytes(SQUEEZE[whole](tar(files)))
    return path
