"""The launcher's calls to Kubernetes. All I/O of the launcher is in this module.

Rights: sparkapplications create, get, delete; pods get; pods/log get; events list. It never updates an application,
because the operator runs an updated one again.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import urllib3
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from jobs.launcher.application import DRIVER, GROUP, KIND, MAX_TEXT, PLURAL, VERSION, Application, Manifest
from marquee.errors import ConfigError, TryAgainError

MAX_LOG_BYTES = 256 << 10
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, TOO_MANY, SERVER_ERRORS = 401, 403, 404, 409, 429, 500
HINTS = {
    UNAUTHORIZED: "check that the launcher's pod has the token of its service account",
    FORBIDDEN: "give this right to the launcher's service account",
    NOT_FOUND: f"check that {KIND} ({GROUP}/{VERSION}) exists: install the spark-operator, or set the engine to local",
}


class NoAnswerError(TryAgainError):
    """The cluster did not answer, or asks to retry (429, 5xx)."""


class RefusedError(ConfigError):
    """The cluster refused a call: a missing right, an unknown kind, or an invalid object."""


class NotThereError(RefusedError):
    """The object, its kind or its namespace does not exist (404)."""


class ConflictError(Exception):
    """Another object is in the way (409): it has this name, or has taken the name since."""


class Cluster:
    """Client of one namespace of a cluster."""

    def __init__(self, namespace: str, timeout_s: float) -> None:
        self.namespace = namespace
        self._timeout = {"_request_timeout": timeout_s}
        api = client.ApiClient(_configuration())
        # Untyped: the return types depend on the arguments.
        self._custom: Any = client.CustomObjectsApi(api)
        self._core: Any = client.CoreV1Api(api)

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Application:
        """Create an application, or check that it can be created; ConflictError if one with its name exists."""
        only_try = {"dry_run": "All"} if dry_run else {}
        with self._translated("create", manifest["metadata"]["name"]):
            made = self._custom.create_namespaced_custom_object(
                *self._kind(), body=manifest, field_validation="Strict", **only_try, **self._timeout
            )
        return Application.read(made)

    def application(self, name: str) -> Application | None:
        """Return an application, None if there is none."""
        try:
            with self._translated("get", name):
                found = self._custom.get_namespaced_custom_object(*self._kind(), name=name, **self._timeout)
        except NotThereError:
            return None
        return Application.read(found)

    def delete(self, application: Application) -> None:
        """Delete an application with its pods. Does nothing if it is gone, or if another one has taken its name."""
        options = client.V1DeleteOptions(
            preconditions=client.V1Preconditions(uid=application.uid), propagation_policy="Background"
        )
        with suppress(NotThereError, ConflictError), self._translated("delete", application.name):
            self._custom.delete_namespaced_custom_object(
                *self._kind(), name=application.name, body=options, **self._timeout
            )

    def pod(self, name: str) -> dict[str, Any] | None:
        """Return a pod, None if there is none."""
        try:
            with self._translated("get pod", name):
                return self._plain(self._core.read_namespaced_pod(name, self.namespace, **self._raw()))
        except NotThereError:
            return None

    def log_tail(self, pod: str, lines: int) -> list[str]:
        """Return the last lines of a driver's log."""
        with self._translated("read the log of", pod):
            answer = self._core.read_namespaced_pod_log(
                pod, self.namespace, container=DRIVER, tail_lines=lines, limit_bytes=MAX_LOG_BYTES, **self._raw()
            )
            text: str = answer.data.decode(errors="replace")
        return text.splitlines()

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the events of an application or a pod."""
        with self._translated("list events of", name):
            answer = self._core.list_namespaced_event(
                self.namespace, field_selector=f"involvedObject.name={name}", limit=100, **self._raw()
            )
            listed: list[dict[str, Any]] = self._plain(answer)["items"]
        return listed

    def _kind(self) -> tuple[str, str, str, str]:
        return GROUP, VERSION, self.namespace, PLURAL

    def _raw(self) -> dict[str, Any]:
        # As JSON, because the client's models refuse unknown values.
        return {"_preload_content": False, **self._timeout}

    @staticmethod
    def _plain(answer: Any) -> dict[str, Any]:  # noqa: ANN401 - an answer of urllib3
        found: dict[str, Any] = json.loads(answer.data)
        return found

    @contextmanager
    def _translated(self, verb: str, name: str) -> Iterator[None]:
        what = f"{verb} {name} in {self.namespace}"
        try:
            yield
        except ApiException as error:
            raise _as_ours(error, what) from error
        except (urllib3.exceptions.HTTPError, OSError, config.ConfigException) as error:
            message = f"the cluster did not answer ({what}): {error}"
            raise NoAnswerError(message) from error


def _as_ours(error: ApiException, what: str) -> Exception:
    message = f"the cluster answered {error.status} ({what}): {_text_of(error)}"
    if error.status == CONFLICT:
        return ConflictError(message)
    if error.status == TOO_MANY or (error.status or SERVER_ERRORS) >= SERVER_ERRORS:
        return NoAnswerError(message)
    kind = NotThereError if error.status == NOT_FOUND else RefusedError
    return kind(f"{message}: {HINTS.get(error.status or 0, 'correct the template of the application')}")


def _configuration() -> client.Configuration:
    """Return the connection to the cluster, from KUBECONFIG if it is set, else from the pod's service account."""
    configuration = client.Configuration()
    try:
        if file := os.environ.get("KUBECONFIG"):
            config.load_kube_config(file, client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
    except (config.ConfigException, OSError) as error:
        message = f"no cluster to launch in: {error}. Give this pod a service account's token, or set KUBECONFIG"
        raise ConfigError(message) from error
    configuration.retries = False  # the launcher has its own retries, with deadlines
    return configuration


def _text_of(error: ApiException) -> str:
    """Return the API server's message, from its Status object if it sent one."""
    try:
        text = str(json.loads(error.body or "")["message"])
    except (ValueError, KeyError, TypeError):
        text = error.body or error.reason or ""
    return text[:MAX_TEXT].strip()
