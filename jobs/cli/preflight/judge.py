"""Judges the tests of a release: reads how each stage's ended, reports all, and fails if one has failed.

`helm test` stops at a pod that fails. So the pods of the stages end with 0 and leave their exit code as the message of
their container, which this command asks the API server for, from the last pod.
"""

import json
import os
import ssl
import sys
from collections.abc import Mapping, Sequence
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from marquee.errors import DONE, SEVERITY, MarqueeError, TryAgainError, worst

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TIMEOUT_S = 10.0


def main(pods: Sequence[str]) -> int:
    """Print how the test of each pod ended; return the most severe exit code."""
    codes = []
    for name in pods:
        try:
            code = exit_code_of(read_pod(name))
            words = "ok" if code == DONE else f"failed with exit code {code}; its log says why"
        except MarqueeError as error:
            code, words = error.exit_code, str(error)
        codes.append(code if code in SEVERITY or code == DONE else MarqueeError.exit_code)  # such as 137, killed
        print(f"{name}: {words}", flush=True)  # noqa: T201 - the result
    return worst(codes)


def exit_code_of(pod: Mapping[str, Any]) -> int:
    """Return the exit code that a pod's test has left; MarqueeError if it has left none."""
    (container,) = pod["status"].get("containerStatuses") or [{}]
    ended = container.get("state", {}).get("terminated", {})
    try:
        return int(ended.get("message", ""))
    except ValueError:
        message = f"left no result: {ended.get('reason') or pod['status'].get('phase')}. Look at its log and its events"
        raise MarqueeError(message) from None


def read_pod(name: str) -> dict[str, Any]:
    """Ask the API server for a pod of this namespace, with the rights of this pod's service account."""
    namespace, token = ((ACCOUNT / file).read_text(encoding="ascii").strip() for file in ("namespace", "token"))
    server = HTTPSConnection(
        os.environ["KUBERNETES_SERVICE_HOST"],
        int(os.environ["KUBERNETES_SERVICE_PORT"]),
        timeout=TIMEOUT_S,
        context=ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt")),
    )
    path = f"/api/v1/namespaces/{namespace}/pods/{name}"
    try:
        server.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        answer = server.getresponse()
        text = answer.read()
    except (OSError, HTTPException) as error:
        message = f"the API server did not answer: {error}. Allow it in networkPolicy.egress.apiServer"
        raise TryAgainError(message) from error
    finally:
        server.close()
    if answer.status != 200:  # noqa: PLR2004 - OK
        message = f"the API server answered {answer.status}: expected the pod, and the right to get pods"
        raise MarqueeError(message)
    found: dict[str, Any] = json.loads(text)
    return found


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
