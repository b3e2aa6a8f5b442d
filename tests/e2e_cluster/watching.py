"""A replacement of prometheus-operator for PodMonitors, with Prometheus outside of the cluster; kube-state-metrics.

Scrapes go through the API's proxy. Targets come from a file that is rewritten regularly, because Debian's Prometheus
has no Kubernetes discovery: each port of a pod with the labels that discovery would add, for the monitors to select
from.
"""

import http.client
import json
import re
import subprocess
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e_cluster.cluster import Manifest, call, until
from tests.ports import free_port

META = "__meta_kubernetes_pod"
PROXY = "__proxy"
"""Label of a target: the path under which the API forwards requests to the pod's port."""
BEHIND_S = 15.0
"""How long kube-state-metrics may not know of a job: usually it is told within a second."""


@contextmanager
def api_at_loopback() -> Iterator[str]:
    """Forward the cluster's API to a port of loopback without authentication."""
    # By default, kubectl rejects paths with /exec, such as /metrics/executors.
    command = ["kubectl", "proxy", "--port=0", "--reject-paths=^$"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            found = re.search(r"127\.0\.0\.1:\d+", process.stdout.readline())
            assert found is not None, f"{' '.join(command)} names no port"
            yield found[0]
        finally:
            process.terminate()


def scrape_configs(monitors: list[Manifest], targets: Path) -> list[Manifest]:
    """Return the scrape configurations that the operator makes from PodMonitors, one for each endpoint."""
    return [
        {
            "job_name": f"podMonitor/{monitor['metadata']['name']}/{place}",
            "file_sd_configs": [{"files": [str(targets)], "refresh_interval": "1s"}],
            "scrape_interval": "2s",
            "scrape_timeout": "2s",
            "relabel_configs": [*_chosen(monitor["spec"]["selector"]), *_scraped(endpoint)],
        }
        for monitor in monitors
        for place, endpoint in enumerate(monitor["spec"]["podMetricsEndpoints"])
    ]


def _chosen(selector: Manifest) -> list[Manifest]:
    """Return the relabelings that keep the pods of a selector."""
    wanted = {label: [value] for label, value in selector.get("matchLabels", {}).items()}
    for one in selector.get("matchExpressions", []):
        assert one["operator"] == "In", one
        wanted[one["key"]] = one["values"]
    return [
        {"action": "keep", "source_labels": [_label(label)], "regex": "|".join(map(re.escape, values))}
        for label, values in wanted.items()
    ]


def _scraped(endpoint: Manifest) -> list[Manifest]:
    """Return the relabelings that keep an endpoint's port and set its path and labels."""
    own = [
        {re.sub("[A-Z]", lambda letter: "_" + letter[0].lower(), key): value for key, value in one.items()}
        for one in endpoint.get("relabelings", [])
    ]
    path = endpoint.get("path", "/metrics")
    return [
        {"action": "keep", "source_labels": [f"{META}_container_port_name"], "regex": endpoint["port"]},
        {"source_labels": [PROXY], "target_label": "__metrics_path__", "replacement": f"$1{path}"},
        {"source_labels": ["__meta_kubernetes_namespace"], "target_label": "namespace"},
        {"source_labels": [f"{META}_name"], "target_label": "pod"},
        *own,
    ]


def _label(name: str) -> str:
    """Return the label of a target that corresponds to a pod's label."""
    return f"{META}_label_{re.sub(r'[^a-zA-Z0-9_]', '_', name)}"


def targets_of(pods: list[Manifest], api: str) -> list[Manifest]:
    """Return the ports of running pods in the form of discovery."""
    return [
        {"targets": [api], "labels": _discovered(pod["metadata"], port)}
        for pod in pods
        if pod["status"]["phase"] == "Running"
        for container in pod["spec"]["containers"]
        for port in container.get("ports", [])
    ]


def _discovered(pod: Manifest, port: Manifest) -> dict[str, str]:
    namespace, name = pod["namespace"], pod["name"]
    return {_label(label): value for label, value in pod["labels"].items()} | {
        PROXY: f"/api/v1/namespaces/{namespace}/pods/{name}:{port['containerPort']}/proxy",
        "__meta_kubernetes_namespace": namespace,
        f"{META}_name": name,
        f"{META}_container_port_name": port.get("name", ""),
    }


@contextmanager
def kept_up_with(namespace: str, api: str, file: Path) -> Iterator[None]:
    """Rewrite the file of targets regularly while the body runs, because pods of jobs come and go."""
    stop = threading.Event()
    pods = f"http://{api}/api/v1/namespaces/{namespace}/pods"

    def look() -> None:
        while not stop.wait(1):
            if answer := _read(pods):
                scratch = file.with_suffix(".new")
                scratch.write_text(json.dumps(targets_of(json.loads(answer)["items"], api)))
                scratch.replace(file)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def kube_state_metrics(namespace: str, api: str, folder: Path) -> Iterator[str]:
    """Run kube-state-metrics for a namespace, outside of the cluster; yield its address.

    It is started again if it ends, or if it no longer follows the API: a watch that is cut off may stall for minutes,
    and no alert about jobs fires meanwhile. Its log says so.
    """
    ports = [free_port(), free_port()]
    (config := folder / "kubeconfig").write_text(call("kubectl", "config", "view", "--raw", "--flatten"))
    command = [
        "kube-state-metrics",
        f"--kubeconfig={config}",
        f"--namespaces={namespace}",
        "--resources=cronjobs,jobs,pods",
        "--host=127.0.0.1",
        f"--port={ports[0]}",
        "--telemetry-host=127.0.0.1",
        f"--telemetry-port={ports[1]}",
    ]
    address = f"127.0.0.1:{ports[0]}"
    jobs = f"http://{api}/apis/batch/v1/namespaces/{namespace}/jobs"
    stop = threading.Event()
    with state_metrics_log(folder).open("ab", buffering=0) as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)

        def keep_running() -> None:
            nonlocal process
            behind_since = None
            while not stop.wait(2):
                behind = _jobs_not_told(jobs, f"http://{address}/metrics")
                behind_since = (behind_since or time.monotonic()) if behind else None
                ended = process.poll()
                if ended is None and (behind_since is None or time.monotonic() - behind_since < BEHIND_S):
                    continue
                log.write(f"started again: ended with {ended}; jobs that it does not tell of: {behind}\n".encode())
                _end(process)
                process = subprocess.Popen(command, stdout=log, stderr=log)
                behind_since = None

        thread = threading.Thread(target=keep_running)
        try:
            until(lambda: b"kube_cronjob_info" in _read(f"http://{address}/metrics"), "what kube-state-metrics tells")
            thread.start()
            yield address
        finally:
            stop.set()
            if thread.ident:
                thread.join()
            _end(process)


def state_metrics_log(folder: Path) -> Path:
    """Return the file of what kube-state-metrics says."""
    return folder / "kube-state-metrics.log"


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()


def _jobs_not_told(jobs: str, metrics: str) -> list[str]:
    """Return the jobs of the API that kube-state-metrics does not tell of; none if the API does not answer."""
    answer = _read(jobs)
    if not answer:
        return []
    told = _read(metrics).decode()
    names = [one["metadata"]["name"] for one in json.loads(answer)["items"]]
    return [name for name in names if f'job_name="{name}"' not in told]


def _read(url: str) -> bytes:
    """Return what a server of ours answers; nothing if it does not answer."""
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - our own server
            return bytes(answer.read())
    except (OSError, http.client.HTTPException):  # it is not there, or too busy to answer
        return b""
