"""The answers of a loopback Weights & Biases server to the GraphQL operations of wandb 0.31.

An answer holds every field that some client reads, asked for or not: clients skip what they did not ask for.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

from tests.servers.wandb_store import ENTITY, Alert, Backend, RefusedError, WandbArtifact, WandbRun

LONG_AGO = "2026-01-01T00:00:00Z"
UNNAMED = "uncategorized"


def _opaque(kind: str, name: object) -> str:
    return base64.b64encode(f"{kind}:v1:{name}".encode()).decode()


def _project(entity: str, project: str) -> dict[str, Any]:
    owner = {"id": _opaque("Entity", entity), "name": entity}
    id_ = _opaque("Project", project)
    return {"id": id_, "internalId": id_, "name": project, "entity": owner, "readOnly": False}


def _page(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    info = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
    edges = [{"node": node, "version": node.get("version")} for node in nodes]
    return {"totalCount": len(nodes), "pageInfo": info, "edges": edges}


def _viewer(backend: Backend, _: dict[str, Any]) -> dict[str, Any]:
    teams = {"edges": [{"node": {"name": name}} for name in sorted(backend.entities)]}
    person = {"id": _opaque("User", 1), "entity": ENTITY, "username": "somebody", "name": "Somebody"}
    account = {"email": "somebody@example.invalid", "admin": False, "flags": "{}", "apiKeys": {"edges": []}}
    return {"viewer": {**person, **account, "deletedAt": None, "teams": teams}}


def _upsert_bucket(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    by_id = (one for one in backend.runs.values() if _opaque("Run", one.id) == asked.get("id"))
    name = asked.get("name") or next(by_id).id
    project, entity = asked.get("project") or UNNAMED, asked.get("entity") or ENTITY
    if entity not in backend.entities:
        raise RefusedError(404, "upsertBucket", f"entity {entity} not found during upsertBucket")
    if project in backend.forbidden:
        raise RefusedError(403, "upsertBucket", "permission denied", code="PERMISSION_ERROR")
    is_new = name not in backend.runs
    run = backend.run(name, project, entity)
    _update_run(run, asked)
    return {"upsertBucket": {"bucket": _bucket(run), "inserted": is_new}}


def _update_run(run: WandbRun, asked: dict[str, Any]) -> None:
    fields = {
        "displayName": "name",
        "groupName": "group",
        "jobType": "job_type",
        "tags": "tags",
        "sweep": "sweep",
    }
    for theirs, ours in (fields | {"notes": "notes", "state": "state"}).items():
        if asked.get(theirs) is not None:
            setattr(run, ours, asked[theirs])
    if asked.get("config"):
        run.raw_config = json.loads(asked["config"])
    if asked.get("summaryMetrics"):
        run.summary = json.loads(asked["summaryMetrics"])


def _bucket(run: WandbRun) -> dict[str, Any]:
    keys = {"lastStep": run.last_step, "sets": [], "keys": {}}
    return {
        "id": _opaque("Run", run.id),
        "projectId": "1",
        "name": run.id,
        "displayName": run.name,
        "description": None,
        "notes": run.notes,
        "tags": run.tags,
        "group": run.group,
        "jobType": run.job_type,
        "state": run.state,
        "config": json.dumps(run.raw_config),
        "summaryMetrics": json.dumps(run.summary),
        "systemMetrics": "{}",
        "historyLineCount": len(run.rows),
        "historyKeys": keys if run.rows else None,
        "user": {"name": "Somebody", "username": "somebody"},
        "project": _project(run.entity, run.project),
        "createdAt": LONG_AGO,
        "heartbeatAt": LONG_AGO,
        "readOnly": False,
        **dict.fromkeys(("sweepName", "commit")),
    }


def _resume_status(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    run = backend.runs.get(asked["name"])
    found = None
    if run is not None:
        counts = {"logLineCount": len(run.console), "eventsLineCount": len(run.events)}
        tails = {"historyTail": json.dumps([json.dumps(row) for row in run.history[-1:]]), "eventsTail": "[]"}
        found = {**_bucket(run), **counts, **tails, "wandbConfig": json.dumps({"t": 1})}
    return {
        "model": {**_project(asked.get("entity") or ENTITY, asked["project"] or UNNAMED), "bucket": found}
    }


def _found_run(backend: Backend, asked: dict[str, Any]) -> WandbRun | None:
    name = asked.get("name") or asked.get("run") or asked.get("runName")
    run = backend.runs.get(str(name))
    is_here = run is not None and (run.entity, run.project) == (asked["entity"], asked["project"])
    return run if is_here else None


def _run(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    run = _found_run(backend, asked)
    return {"project": {"run": None if run is None else _bucket(run)}}


def _history(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    run = _found_run(backend, asked)
    rows = [] if run is None else _between(run, asked)
    return {"project": {"run": {"history": [json.dumps(row) for row in rows]}}}


def _sampled_history(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    """The rows that have all keys, one list a spec; never so many that a sample would be taken."""
    run = _found_run(backend, asked)
    samples = []
    for spec in map(json.loads, asked.get("specs") or [asked["spec"]]):
        rows = [] if run is None else _between(run, spec)
        found = [row for row in rows if row.keys() >= set(spec["keys"])]
        samples.append([{key: row[key] for key in spec["keys"]} for row in found])
    return {"project": {"run": {"sampledHistory": samples}}}


def _between(run: WandbRun, asked: dict[str, Any]) -> list[dict[str, Any]]:
    low, high = asked.get("minStep", 0), asked.get("maxStep", run.last_step + 1)
    return [row for row in run.history if low <= row["_step"] < high]


def _parquet_history(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    """Nothing was moved to Parquet files yet, so clients read the rows themselves."""
    return {"project": {"run": {"parquetHistory": {"parquetUrls": [], "liveData": []}}}}


def _stopped(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    return {"project": {"run": {"stopped": asked["runId"] in backend.stopped}}}


def _create_run_files(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    run = backend.run(asked["run"], asked["project"], asked["entity"])
    files = [
        {"name": name, "uploadUrl": f"{backend.url}/storage/run/{run.id}/{quote(name)}"}
        for name in asked["files"]
    ]
    return {"createRunFiles": {"runID": _opaque("Run", run.id), "uploadHeaders": [], "files": files}}


def _alert(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    backend.alerts.append(Alert(asked["runName"], asked["title"], asked["text"], asked["severity"]))
    return {"notifyScriptableRunAlert": {"success": True}}


def _create_artifact(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    given = asked.get("input") or asked
    collection = given.get("artifactCollectionName") or given["artifactCollectionNames"][0]
    versions = backend.versions(given["entityName"], given["projectName"], collection)
    same = [one for one in versions if one.digest == given["digest"] and one.state == "COMMITTED"]
    artifact = same[-1] if same and given.get("enableDigestDeduplication") else None
    if artifact is None:
        artifact = _new_artifact(backend, given, collection, len(versions))
    backend.add_aliases(artifact, [one["alias"] for one in given.get("aliases") or []])
    for key in ("clientID", "sequenceClientID"):
        if given.get(key):
            backend.ids[given[key]] = artifact
    latest = [{"id": one.id} for one in versions if one.state == "COMMITTED"]
    created = {**_artifact(artifact), "artifactSequence": {"latestArtifact": latest[-1] if latest else None}}
    return {"createArtifact": {"artifact": created}}


def _new_artifact(backend: Backend, given: dict[str, Any], collection: str, number: int) -> WandbArtifact:
    artifact = WandbArtifact(
        id=f"artifact{len(backend.artifacts) + 1}",
        collection=collection,
        type=given["artifactTypeName"],
        number=number,
        project=given["projectName"],
        entity=given["entityName"],
        digest=given["digest"],
        run_id=given.get("runName") or "",
        description=given.get("description"),
        metadata=json.loads(given.get("metadata") or "{}"),
    )
    backend.artifacts.append(artifact)
    if artifact.run_id:
        backend.run(artifact.run_id, artifact.project, artifact.entity).logged.append(artifact.name)
    return artifact


def _manifest(backend: Backend, artifact_id: str) -> dict[str, Any]:
    url = f"{backend.url}/storage/manifest/{artifact_id}"
    file = {"id": artifact_id, "uploadUrl": url, "uploadHeaders": [], "directUrl": url}
    return {"id": artifact_id, "file": file}


def _create_manifest(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    return {"createArtifactManifest": {"artifactManifest": _manifest(backend, asked["artifactID"])}}


def _update_manifest(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    return {"updateArtifactManifest": {"artifactManifest": _manifest(backend, asked["artifactManifestID"])}}


def _current_manifest(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    return {"artifact": {"currentManifest": _manifest(backend, asked.get("id") or asked["artifact_id"])}}


def _create_artifact_files(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    nodes = []
    for file in (asked.get("input") or asked)["artifactFiles"]:
        path = f"artifact/{file['artifactID']}/{file['name']}"
        node: dict[str, Any] = {"uploadUrl": f"{backend.url}/storage/{quote(path)}", "uploadHeaders": []}
        part = {"uploadMultipartUrls": None, "storagePath": path, "artifact": {"id": file["artifactID"]}}
        nodes.append(node | part)
    return {"createArtifactFiles": {"files": _page(nodes)}}


def _commit_artifact(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    artifact = backend.artifact(asked["artifactID"])
    artifact.state = "COMMITTED"
    return {"commitArtifact": {"artifact": {"id": artifact.id, "digest": artifact.digest}}}


def _update_artifact(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    given = asked.get("input") or asked
    artifact = backend.artifact(given["artifactID"])
    if given.get("metadata"):
        artifact.metadata = json.loads(given["metadata"])
    if given.get("description"):
        artifact.description = given["description"]
    answer = {"artifact": _artifact(artifact)}
    return {"result": answer, "updateArtifact": answer}


def _use_artifact(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    given = asked.get("input") or asked
    artifact = backend.artifact(given["artifactID"])
    run = backend.run(given["runName"], given["projectName"], given["entityName"])
    run.used += [] if artifact.name in run.used else [artifact.name]
    return {"useArtifact": {"artifact": _artifact(artifact)}}


def _client_id(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    artifact = backend.ids.get(asked["clientID"])
    return {"clientIDMapping": {"serverID": artifact.id} if artifact else None}


def _artifact_by_id(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    return {"artifact": _artifact(backend.artifact(asked["id"]))}


def _artifact_type(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    found = backend.named(asked["entity"], asked["project"], asked["name"])
    return {"project": {"artifact": _artifact(found) if found else None}}


def _membership(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    found = backend.named(asked["entity"], asked["project"], asked["name"])
    if found is None:
        return {"project": {"artifactCollectionMembership": None}}
    artifact = _artifact(found)
    membership = {
        "__typename": "ArtifactCollectionMembership",
        "id": _opaque("Membership", found.id),
        "artifactCollection": artifact["artifactSequence"],
        "artifact": artifact,
        **{key: artifact[key] for key in ("versionIndex", "createdAt", "aliases")},
    }
    return {"project": {"artifactCollectionMembership": membership}}


def _add_aliases(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    given = asked["input"]
    backend.add_aliases(backend.artifact(given["artifactID"]), [one["alias"] for one in given["aliases"]])
    return {"result": {"success": True}}


def _delete_aliases(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    artifact = backend.artifact(asked["input"]["artifactID"])
    gone = [one["alias"] for one in asked["input"]["aliases"]]
    artifact.aliases = [alias for alias in artifact.aliases if alias not in gone]
    return {"result": {"success": True}}


def _run_files(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    kept = backend.runs[asked["name"]].files
    nodes = [
        _run_file(backend, asked["name"], name, kept[name])
        for name in asked["fileNames"] or kept
        if name in kept
    ]
    return {"project": {"internalId": "1", "run": {"fileCount": len(nodes), "files": _page(nodes)}}}


def _run_file(backend: Backend, run: str, name: str, data: bytes) -> dict[str, Any]:
    url = f"{backend.url}/storage/run/{run}/{quote(name)}"
    about = dict.fromkeys(("mimetype", "updatedAt", "md5"))
    return {
        "id": _opaque("File", name),
        "name": name,
        "url": url,
        "directUrl": url,
        "sizeBytes": len(data),
        **about,
    }


def _logged_artifacts(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    nodes = [_artifact(one) for one in backend.artifacts if one.run_id == asked["run"]]
    return {"project": {"run": {"artifacts": _page(nodes)}}}


def _used_artifacts(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    used = backend.runs[asked["run"]].used
    nodes = [_artifact(one) for one in backend.artifacts if one.name in used]
    return {"project": {"run": {"artifacts": _page(nodes)}}}


def _membership_files(backend: Backend, asked: dict[str, Any]) -> dict[str, Any]:
    found = backend.named(asked["entity"], asked["project"], f"{asked['collection']}:{asked['alias']}")
    membership = {"files": _files(backend, found)} if found else None
    collection = {"__typename": "ArtifactSequence", "artifactMembership": membership}
    return {"project": {"artifactCollection": collection}}


def _files(backend: Backend, artifact: WandbArtifact) -> dict[str, Any]:
    nodes = []
    for name, entry in artifact.manifest.items():
        url = f"{backend.url}/storage/artifact/{artifact.id}/{quote(name)}"
        about = {"sizeBytes": entry["size"], "digest": entry["digest"], "md5": entry["digest"]}
        empty = dict.fromkeys(("mimetype", "updatedAt", "storagePath"))
        file = {"__typename": "File", "id": _opaque("File", name), "name": name, "url": url, "directUrl": url}
        nodes.append(file | about | empty)
    return _page(nodes)


def _artifact(artifact: WandbArtifact) -> dict[str, Any]:
    project = _project(artifact.entity, artifact.project)
    sequence = {"__typename": "ArtifactSequence", "name": artifact.collection, "project": project}
    alias = {"__typename": "ArtifactAlias", "artifactCollection": sequence}
    aliases = [{**alias, "id": _opaque("Alias", one), "alias": one} for one in artifact.aliases]
    return {
        "__typename": "Artifact",
        "id": artifact.id,
        "artifactSequence": sequence,
        "artifactType": {"name": artifact.type},
        "versionIndex": artifact.number,
        "version": artifact.version,
        "aliases": aliases,
        "metadata": json.dumps(artifact.metadata),
        "size": sum(map(len, artifact.files.values())),
        "fileCount": len(artifact.manifest),
        "createdAt": LONG_AGO,
        "commitHash": artifact.digest[:20],
        "ttlDurationSeconds": -1,
        "ttlIsInherited": False,
        "tags": [],
        **{key: getattr(artifact, key) for key in ("description", "state", "digest")},
        **dict.fromkeys(("historyStep", "updatedAt")),
    }


def _fixed(answer: dict[str, Any]) -> Callable[[Backend, dict[str, Any]], dict[str, Any]]:
    return lambda backend, asked: answer


def answer(backend: Backend, operation: str, asked: dict[str, Any]) -> dict[str, Any]:
    """The data of the answer to an operation.

    What may not be seen is not there for a reader: the project is null, a case that the clients provide for.

    Raises:
        RefusedError: The server says no.
        LookupError: The operation, or something that it names, is not known here.
    """
    if operation in READING and not backend.is_visible(asked["entity"], asked["project"]):
        return {"project": None}
    return OPERATIONS[operation](backend, asked)


# No feature of newer servers is switched on: clients then take the ways that every server knows.
OPERATIONS: dict[str, Callable[[Backend, dict[str, Any]], dict[str, Any]]] = {
    "AddAliases": _add_aliases,
    "ArtifactByID": _artifact_by_id,
    "ArtifactManifest": _current_manifest,
    "ArtifactMembershipByName": _membership,
    "ArtifactMembershipFiles": _membership_files,
    "ArtifactType": _artifact_type,
    "ClientIDMapping": _client_id,
    "CommitArtifact": _commit_artifact,
    "CreateArtifact": _create_artifact,
    "CreateArtifactFiles": _create_artifact_files,
    "CreateArtifactManifest": _create_manifest,
    "CreateRunFiles": _create_run_files,
    "DeleteAliases": _delete_aliases,
    "FetchArtifactManifest": _current_manifest,
    "GetArtifactMembershipFileUrls": _membership_files,
    "GetDefaultEntity": _viewer,
    "GetViewer": _viewer,
    "HistoryPage": _history,
    "IsProjectReadOnly": _fixed({"project": {"readOnly": False}}),
    "MarkRunFilesUploaded": _fixed({"markRunFilesUploaded": {"success": True}}),
    "NotifyScriptableRunAlert": _alert,
    "OrganizationCoreWeaveOrganizationID": _fixed({"entity": {"organization": None}}),
    "Run": _run,
    "RunFiles": _run_files,
    "RunFullHistory": _history,
    "RunHistoryKeys": _run,
    "RunInputArtifacts": _used_artifacts,
    "RunOutputArtifacts": _logged_artifacts,
    "RunParquetHistory": _parquet_history,
    "RunResumeStatus": _resume_status,
    "RunSampledHistory": _sampled_history,
    "RunStoppedStatus": _stopped,
    "SampledHistoryPage": _sampled_history,
    "ServerFeaturesQuery": _fixed({"serverInfo": {"features": []}}),
    "UpdateArtifact": _update_artifact,
    "UpdateArtifactManifest": _update_manifest,
    "UpsertBucket": _upsert_bucket,
    "UseArtifact": _use_artifact,
    "Viewer": _viewer,
}

# The operations that ask for a part of a project.
READING = {
    "ArtifactMembershipByName",
    "ArtifactMembershipFiles",
    "ArtifactType",
    "GetArtifactMembershipFileUrls",
    "HistoryPage",
    "Run",
    "RunFiles",
    "RunFullHistory",
    "RunHistoryKeys",
    "RunInputArtifacts",
    "RunOutputArtifacts",
    "RunParquetHistory",
    "RunSampledHistory",
    "SampledHistoryPage",
}
