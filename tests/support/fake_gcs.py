"""Google Cloud Storage's XML interface on a local port, as obstore speaks it, with its objects in memory.

Generations and ETags, preconditions (`x-goog-if-generation-match`, `If-Match`), byte ranges, listings in
pages, multipart uploads and copies are those of the real service; errors are its XML. With `token` set, a
request needs it as its bearer.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_NAMESPACE = "http://doc.s3.amazonaws.com/2006-03-01"


@dataclass(frozen=True)
class Object:
    data: bytes
    generation: int
    at: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.data + str(self.generation).encode()).hexdigest()}"'


@dataclass
class Upload:
    key: str
    parts: dict[int, tuple[str, bytes]] = field(default_factory=dict)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of connections that were cut."""


class FakeGcs:
    """The service with the buckets given; a context manager."""

    def __init__(self, *buckets: str, page: int = 1000) -> None:
        self.buckets: dict[str, dict[str, Object]] = {bucket: {} for bucket in buckets}
        self.uploads: dict[str, Upload] = {}
        self.page = page
        self.token: str | None = None
        self.lock = threading.RLock()
        self._generation = 1_700_000_000_000_000
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"fake": self}))

    def __enter__(self) -> FakeGcs:
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def store(self, bucket: str, key: str, data: bytes) -> Object:
        with self.lock:
            self._generation += 1
            found = Object(data, self._generation, datetime.now(UTC))
            self.buckets[bucket][key] = found
            return found

    def begin(self, key: str) -> str:
        with self.lock:
            self._generation += 1
            number = f"upload-{self._generation}"
            self.uploads[number] = Upload(key)
            return number


class _Handler(BaseHTTPRequestHandler):
    fake: FakeGcs
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def version_string(self) -> str:
        return "UploadServer"

    def do_GET(self) -> None:
        self._serve()

    def do_HEAD(self) -> None:
        self._serve()

    def do_PUT(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def do_DELETE(self) -> None:
        self._serve()

    def _serve(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        if len(body) < length:
            self.close_connection = True
            return
        parts = urlsplit(self.path)
        bucket, _, key = unquote(parts.path.lstrip("/")).partition("/")
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        if self.fake.token and self.headers.get("Authorization") != f"Bearer {self.fake.token}":
            self._error(401, "AuthenticationRequired", "Authentication required.")
        elif bucket not in self.fake.buckets:
            self._error(404, "NoSuchBucket", "The specified bucket does not exist.")
        else:
            with self.fake.lock:
                self._route(bucket, key, query, body)

    def _route(self, bucket: str, key: str, query: dict[str, str], body: bytes) -> None:
        method = "GET" if self.command == "HEAD" else self.command
        if method == "GET" and not key:
            self._list(bucket, query)
        elif method == "GET":
            self._get(bucket, key)
        elif method == "DELETE":
            self._delete(bucket, key, query)
        elif method == "POST" and "uploads" in query:
            number = self.fake.begin(key)
            self._xml(
                f'<InitiateMultipartUploadResult xmlns="{_NAMESPACE}"><Bucket>{bucket}</Bucket>'
                f"<Key>{escape(key)}</Key><UploadId>{number}</UploadId></InitiateMultipartUploadResult>"
            )
        elif "uploadId" in query:
            self._upload(bucket, query, body)
        elif method == "PUT" and self.headers.get("x-goog-copy-source"):
            self._copy(bucket, key)
        elif method == "PUT":
            self._put(bucket, key, body)
        else:
            self._error(400, "InvalidArgument", "Invalid argument.")

    def _put(self, bucket: str, key: str, body: bytes) -> None:
        wanted = self.headers.get("x-goog-if-generation-match")
        there = self.fake.buckets[bucket].get(key)
        if wanted is not None and int(wanted) != (there.generation if there else 0):
            self._error(
                412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
            )
            return
        self._answer(200, headers=_of(self.fake.store(bucket, key, body)))

    def _copy(self, bucket: str, key: str) -> None:
        source_bucket, _, source_key = unquote(self.headers["x-goog-copy-source"].lstrip("/")).partition("/")
        source = self.fake.buckets.get(source_bucket, {}).get(source_key)
        if source is None:
            self._error(404, "NoSuchKey", "The specified key does not exist.")
            return
        made = self.fake.store(bucket, key, source.data)
        self._xml(f"<CopyObjectResult><ETag>{escape(made.etag)}</ETag></CopyObjectResult>", _of(made))

    def _upload(self, bucket: str, query: dict[str, str], body: bytes) -> None:
        upload = self.fake.uploads.get(query["uploadId"])
        if upload is None:
            self._error(404, "NoSuchUpload", "The requested upload was not found.")
        elif self.command == "PUT":
            etag = f'"{hashlib.md5(body).hexdigest()}"'
            upload.parts[int(query["partNumber"])] = (etag, body)
            self._answer(200, headers={"ETag": etag})
        else:
            if any(etag.strip('"').encode() not in body for etag, _ in upload.parts.values()):
                self._error(400, "InvalidPart", "One or more of the specified parts could not be found.")
                return
            del self.fake.uploads[query["uploadId"]]
            data = b"".join(upload.parts[number][1] for number in sorted(upload.parts))
            made = self.fake.store(bucket, upload.key, data)
            self._xml(
                f'<CompleteMultipartUploadResult xmlns="{_NAMESPACE}"><Bucket>{bucket}</Bucket>'
                f"<Key>{escape(upload.key)}</Key><ETag>{escape(made.etag)}</ETag></CompleteMultipartUploadResult>",
                _of(made),
            )

    def _delete(self, bucket: str, key: str, query: dict[str, str]) -> None:
        if "uploadId" in query:
            self.fake.uploads.pop(query["uploadId"], None)
            self._answer(204)
        elif self.fake.buckets[bucket].pop(key, None) is None:
            self._error(404, "NoSuchKey", "The specified key does not exist.")
        else:
            self._answer(204)

    def _get(self, bucket: str, key: str) -> None:
        found = self.fake.buckets[bucket].get(key)
        if found is None:
            self._error(404, "NoSuchKey", "The specified key does not exist.")
            return
        if self.headers.get("If-Match") not in (None, "*", found.etag):
            self._error(
                412, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."
            )
            return
        wanted = self.headers.get("Range")
        if wanted is None:
            self._answer(200, found.data, _of(found))
            return
        first, _, last = wanted.removeprefix("bytes=").partition("-")
        size = len(found.data)
        start = int(first) if first else max(size - int(last), 0)
        end = min(int(last) + 1 if first and last else size, size)
        if start >= size:
            self._error(416, "InvalidRange", "The requested range cannot be satisfied.")
            return
        headers = {**_of(found), "Content-Range": f"bytes {start}-{end - 1}/{size}"}
        self._answer(206, found.data[start:end], headers)

    def _list(self, bucket: str, query: dict[str, str]) -> None:
        prefix, after = (
            query.get("prefix", ""),
            query.get("continuation-token") or query.get("start-after", ""),
        )
        page = min(int(query.get("max-keys", self.fake.page)), self.fake.page)
        keys = sorted(key for key in self.fake.buckets[bucket] if key.startswith(prefix) and key > after)
        shown = keys[:page]
        contents = "".join(self._entry(key, self.fake.buckets[bucket][key]) for key in shown)
        more = len(keys) > page
        following = f"<NextContinuationToken>{escape(shown[-1])}</NextContinuationToken>" if more else ""
        self._xml(
            f'<ListBucketResult xmlns="{_NAMESPACE}"><Name>{bucket}</Name><Prefix>{escape(prefix)}</Prefix>'
            f"<KeyCount>{len(shown)}</KeyCount><IsTruncated>{str(more).lower()}</IsTruncated>"
            f"{following}{contents}</ListBucketResult>"
        )

    @staticmethod
    def _entry(key: str, found: Object) -> str:
        return (
            f"<Contents><Key>{escape(key)}</Key><Generation>{found.generation}</Generation>"
            f"<LastModified>{found.at:%Y-%m-%dT%H:%M:%S.000Z}</LastModified>"
            f"<ETag>{escape(found.etag)}</ETag><Size>{len(found.data)}</Size></Contents>"
        )

    def _xml(self, body: str, headers: dict[str, str] | None = None) -> None:
        document = f"<?xml version='1.0' encoding='UTF-8'?>{body}"
        self._answer(200, document.encode(), {"Content-Type": "application/xml", **(headers or {})})

    def _error(self, status: int, code: str, message: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        document = f"<?xml version='1.0' encoding='UTF-8'?>{body}"
        self._answer(status, document.encode(), {"Content-Type": "application/xml"})

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _of(found: Object) -> dict[str, str]:
    return {
        "ETag": found.etag,
        "Last-Modified": format_datetime(found.at, usegmt=True),
        "x-goog-generation": str(found.generation),
    }
