"""Artifacts on a loopback server as if runs had made them, without the seconds that it takes a client."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping

from tests.servers.wandb import LoopbackWandb
from tests.servers.wandb_store import ENTITY, WandbArtifact


def keep(
    server: LoopbackWandb, files: Mapping[str, bytes], name: str = "eval-questions", alias: str = ""
) -> WandbArtifact:
    """Put an artifact on the server, as if a run had made it."""
    contents = {
        file: {
            "digest": base64.b64encode(hashlib.md5(data).digest()).decode(),
            "size": len(data),
            "birthArtifactID": f"artifact{len(server.artifacts) + 1}",
        }
        for file, data in files.items()
    }
    manifest = {"version": 1, "storagePolicy": "wandb-storage-policy-v1"}
    manifest |= {"storagePolicyConfig": {"storageLayout": "V2"}, "contents": contents}
    made = WandbArtifact(
        id=f"artifact{len(server.artifacts) + 1}",
        collection=name,
        type="dataset",
        number=len(server.versions(name)),
        project="rag",
        entity=ENTITY,
        digest=hashlib.md5(json.dumps(contents).encode()).hexdigest(),
        state="COMMITTED",
        files=dict(files),
        raw_manifest=json.dumps(manifest).encode(),
    )
    server.artifacts.append(made)
    server.backend.add_aliases(made, ["latest", *([alias] if alias else [])])
    return made
