"""Serves the simulated schedule over HTTP on this machine, with TVMaze's API.

    with serve(settings) as url:
        requests.get(f"{url}/schedule", {"country": "KR", "date": "2026-01-05"}, timeout=5)

A response is a JSON array of episodes. A wrong country code or date gives status 422 with name, message, code, status.
"""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

from jobs.simulate.catalogue import build_world
from jobs.simulate.schedule import Json, Schedule
from jobs.simulate.settings import SimulateSettings
from marquee.errors import ConfigError

LOOPBACK = "127.0.0.1"
DEFAULT_COUNTRY = "US"
"""TVMaze's own default."""
POLL_S = 0.05
"""Seconds between the server's checks for a shutdown."""
DATE_FORM = re.compile(r"\d{4}-\d{2}-\d{2}")


class UnprocessableError(ValueError):
    """A parameter is invalid; TVMaze refuses it with 422."""


def answer(schedule: Schedule, path: str, query: dict[str, str], today: date) -> tuple[HTTPStatus, list[Json] | Json]:
    """Return the response to a request; unknown parameters are ignored, like at TVMaze."""
    try:
        if path == "/schedule":
            country = _country(query.get("country", DEFAULT_COUNTRY))
            return HTTPStatus.OK, schedule.of_country(country, _day(query, today))
        if path == "/schedule/web":
            code = query.get("country")
            return HTTPStatus.OK, schedule.of_web(_day(query, today), _country(code) if code else code)
    except UnprocessableError as error:
        return HTTPStatus.UNPROCESSABLE_ENTITY, _problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error))
    return HTTPStatus.NOT_FOUND, _problem(HTTPStatus.NOT_FOUND, "Page not found.")


@contextmanager
def serve(settings: SimulateSettings, port: int = 0) -> Iterator[str]:
    """Serve the simulated schedule while the ``with`` block runs; yields the URL. Port 0 selects a free port.

    Raises:
        ConfigError: the port cannot be opened.
    """
    try:
        server = make_server(settings, port)
    except (OSError, OverflowError) as error:
        message = f"cannot listen on port {port}: {error}. Stop the program that uses it, or use another port"
        raise ConfigError(message) from error
    thread = threading.Thread(target=server.serve_forever, args=(POLL_S,), name="schedule", daemon=True)
    thread.start()
    try:
        yield f"http://{LOOPBACK}:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def make_server(settings: SimulateSettings, port: int = 0) -> ThreadingHTTPServer:
    """Return a server that is bound to loopback; call its ``serve_forever``."""
    schedule = Schedule(build_world(settings))
    handler = type("ScheduleHandler", (_Handler,), {"schedule": schedule, "today": settings.last_day})
    return ThreadingHTTPServer((LOOPBACK, port), handler)


class _Handler(BaseHTTPRequestHandler):
    schedule: Schedule
    today: date
    protocol_version = "HTTP/1.1"  # persistent connections
    disable_nagle_algorithm = True  # headers and body are two writes, and the second would wait 40 ms

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        status, body = answer(self.schedule, parts.path, query, self.today)
        data = json.dumps(body, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json; charset=UTF-8")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "public, max-age=3600")
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Log nothing, because the client logs its calls."""


def _country(code: str) -> str:
    if not re.fullmatch("[A-Z]{2}", code):
        message = f"Invalid country code {code!r}."
        raise UnprocessableError(message)
    return code


def _day(query: dict[str, str], today: date) -> date:
    text = query.get("date", "")
    if not text:
        return today
    try:
        if DATE_FORM.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    message = f"Invalid date {text!r}: expected YYYY-MM-DD."
    raise UnprocessableError(message)


def _problem(status: HTTPStatus, message: str) -> Json:
    return {"name": status.phrase, "message": message, "code": 0, "status": int(status)}
