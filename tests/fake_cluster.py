"""The API server of a cluster on loopback, with an operator that follows a script, reached by a kubeconfig."""

import json
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

NAMESPACE = "analytics"
APPLICATIONS = f"/apis/sparkoperator.k8s.io/v1beta2/namespaces/{NAMESPACE}/sparkapplications"
CORE = f"/api/v1/namespaces/{NAMESPACE}"

Json = dict[str, Any]


@dataclass(frozen=True)
class Scene:
    """The state of an application and the pod of its driver at one request."""

    state: str | None = None
    pod: Json | None = None
    error: str = ""


def container(state: Json, name: str = "spark-kubernetes-driver") -> Json:
    """Return a pod of two containers, of which the driver is the second, after a sidecar."""
    sidecar = {"name": "sidecar", "state": {"running": {}}}
    return {"status": {"containerStatuses": [sidecar, {"name": name, "state": state}]}}


def waiting(reason: str, message: str = "") -> Json:
    """Return the pod of a driver whose container waits."""
    return container({"waiting": {"reason": reason, "message": message}})


def unscheduled(message: str) -> Json:
    """Return the pod of a driver without a node."""
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    return {"status": {"phase": "Pending", "conditions": [condition]}}


def ended(code: int, reason: str = "Error") -> Json:
    """Return the pod of a driver that has ended."""
    return container({"terminated": {"exitCode": code, "reason": reason}})


DRIVER_RUNS = container({"running": {}})

SUBMITTED = Scene("SUBMITTED", waiting("ContainerCreating"))
RUNNING = Scene("RUNNING", DRIVER_RUNS)
COMPLETED = Scene("COMPLETED", ended(0, "Completed"))


def failed(code: int, reason: str = "Error") -> Scene:
    """Return the end of an application whose driver failed."""
    return Scene("FAILED", ended(code, reason), f"driver container failed with ExitCode: {code}, Reason: {reason}")


@dataclass
class Stored:
    """An application with its remaining scenes, of which the last one remains."""

    manifest: Json
    scenes: deque[Scene]

    def look(self) -> Json:
        """Return the application in its current scene, and go on to the next one."""
        scene = self.scenes[0]
        status = (
            {} if scene.state is None else {"applicationState": {"state": scene.state, "errorMessage": scene.error}}
        )
        if len(self.scenes) > 1:
            self.scenes.popleft()
        self.pod = scene.pod
        return self.manifest | ({"status": status} if status else {})

    pod: Json | None = field(default=None, init=False)


class FakeCluster(ThreadingHTTPServer):
    """A server that stores applications, and returns the next scene of an application at each request."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.asked: list[tuple[str, str]] = []
        self.script: Sequence[Scene] = [COMPLETED]
        self.stored: dict[str, Stored] = {}
        self.pods: dict[str, Json] = {}
        self.events: list[Json] = []
        self.log = ""
        self.faults: deque[Fault] = deque()
        self.closing = threading.Event()
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(_kubeconfig(f"http://127.0.0.1:{self.server_port}")))

    def put(self, manifest: Mapping[str, Any], *scenes: Scene, **metadata: Any) -> Json:
        """Store an application with the fields that the server adds, and return it."""
        stored = json.loads(json.dumps(manifest))
        stored["metadata"] |= {"uid": str(uuid.uuid4()), "namespace": NAMESPACE} | metadata
        self.stored[stored["metadata"]["name"]] = Stored(stored, deque(scenes or self.script))
        return dict(stored)

    def fail(self, *faults: "Fault") -> None:
        """Answer the next requests that match each fault with that fault."""
        self.faults.extend(faults)

    def requests(self, method: str) -> list[str]:
        """Return the last part of the paths that were requested with a method."""
        return [path.partition("?")[0].rpartition("/")[2] for asked, path in self.asked if asked == method]

    def handle_error(self, *_: Any) -> None:
        """Log nothing, because some tests break connections."""


@dataclass(frozen=True)
class Fault:
    """A fault instead of an answer to a request whose path contains a text: a status, or no answer."""

    method: str
    status: int | None
    message: str = ""
    path: str = ""
    before: Callable[[], object] = lambda: None


class _Handler(BaseHTTPRequestHandler):
    server: FakeCluster
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def do_DELETE(self) -> None:
        self._answer("DELETE")

    def do_PUT(self) -> None:
        self._answer("PUT")

    def do_PATCH(self) -> None:
        self._answer("PATCH")

    def _answer(self, method: str) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        server = self.server
        server.asked.append((method, self.path))
        fault = next((one for one in server.faults if one.method == method and one.path in self.path), None)
        if fault is None:
            status, answer = getattr(self, f"_{method.lower()}")(self.path.partition("?")[0], body)
        else:
            server.faults.remove(fault)
            fault.before()
            if fault.status is None:
                server.closing.wait()
                self.close_connection = True
                return
            status, answer = fault.status, _status(fault.status, fault.message)
        data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(answer, str) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _get(self, path: str, body: bytes) -> tuple[int, Any]:  # noqa: ARG002 - as the others
        folder, _, name = path.removesuffix("/log").rpartition("/")
        if path == f"{CORE}/events":
            return 200, {"items": self.server.events}
        if folder == APPLICATIONS and name in self.server.stored:
            return 200, self.server.stored[name].look()
        pod = self._pod(name) if folder == f"{CORE}/pods" else None
        if pod is None:
            return 404, _status(404, f'"{name}" not found')
        return 200, self.server.log if path.endswith("/log") else pod

    def _pod(self, name: str) -> Json | None:
        stored = self.server.stored.get(name.removesuffix("-driver"))
        return stored.pod if stored else self.server.pods.get(name)

    def _post(self, path: str, body: bytes) -> tuple[int, Any]:
        manifest = json.loads(body)
        if path != APPLICATIONS:
            return 404, _status(404, "the server could not find the requested resource")
        if manifest["metadata"]["name"] in self.server.stored:
            return 409, _status(409, "already exists")
        made = self.server.put(manifest)
        if "dryRun=All" in self.path:
            del self.server.stored[made["metadata"]["name"]]
        return 201, made

    def _delete(self, path: str, body: bytes) -> tuple[int, Any]:
        name = path.rpartition("/")[2]
        stored = self.server.stored.get(name)
        if stored is None:
            return 404, _status(404, "not found")
        if json.loads(body)["preconditions"]["uid"] != stored.manifest["metadata"]["uid"]:
            return 409, _status(409, "the UID in the precondition does not match")
        del self.server.stored[name]
        return 200, _status(200, "")

    def log_message(self, *_: Any) -> None:
        """Log nothing."""


def _status(code: int, message: str) -> Json:
    return {"kind": "Status", "apiVersion": "v1", "code": code, "message": message}


def _kubeconfig(url: str) -> Json:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "fake", "cluster": {"server": url}}],
        "users": [{"name": "fake", "user": {}}],
        "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "fake"}}],
        "current-context": "fake",
    }


@contextmanager
def fake_cluster(folder: Path) -> Iterator[FakeCluster]:
    """Run the server until the end of the block."""
    cluster = FakeCluster(folder)
    thread = threading.Thread(target=cluster.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield cluster
    finally:
        cluster.closing.set()
        cluster.shutdown()
        thread.join()
        cluster.server_close()
