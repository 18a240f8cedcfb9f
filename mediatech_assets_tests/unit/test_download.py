"""What belongs here: reading upstream hosts over real HTTP, and folders that stand for them."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import stamina

from mediatech_assets.errors import ConfigurationError, UpstreamError
from mediatech_assets.sources import download
from mediatech_assets.sources.download import open_upstream
from mediatech_assets.sources.http_file import current_version

HOST = "host.example"
FILE = f"https://{HOST}/data/file.bin"
CONTENT = bytes(range(256)) * 40


@dataclass
class Server:
    """A host that answers from a script: one entry a request, the last one again and again.

    An answer is `(status, headers, body)`, with the body cut short when `Content-Length` says more.
    """

    url: str = ""
    answers: list = field(default_factory=list)
    requests: list = field(default_factory=list)

    def answer(self, handler):
        self.requests.append((handler.command, handler.path, dict(handler.headers)))
        entry = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        status, headers, body = entry(handler.headers) if isinstance(entry, Callable) else entry
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            handler.send_header(name, value)
        handler.end_headers()
        if handler.command != "HEAD":
            handler.wfile.write(body)
        handler.close_connection = True


@pytest.fixture(autouse=True)
def no_waiting(request) -> Iterator[None]:
    """Retries follow at once, except where the wait is what is tested."""
    with stamina.set_testing("waited" not in request.node.name, attempts=20, cap=True):
        yield


@pytest.fixture
def server() -> Iterator[Server]:
    scripted = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            scripted.answer(self)

        do_HEAD = do_GET

        def log_message(self, *_):
            pass

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=lambda: http.serve_forever(poll_interval=0.01), daemon=True)
    thread.start()
    scripted.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield scripted
    http.shutdown()
    http.server_close()
    thread.join(timeout=10)


@contextmanager
def upstream(base, *, attempts=3, hosts=(HOST, "other.example")):
    with open_upstream(str(base), hosts, timeout=5, attempts=attempts, user_agent="tests/1") as opened:
        yield opened


def dropped(etag, after, content=CONTENT):
    """Announces the whole file and hangs up in the middle of it."""
    return 200, {"ETag": etag, "Content-Length": str(len(content))}, content[:after]


def ranged(etag, content=CONTENT):
    """A host that resumes: the rest when If-Range names its version, else everything."""

    def answer(headers):
        if "Range" in headers and headers.get("If-Range") == etag:
            start = int(headers["Range"].removeprefix("bytes=").removesuffix("-"))
            content_range = f"bytes {start}-{len(content) - 1}/{len(content)}"
            return 206, {"ETag": etag, "Content-Range": content_range}, content[start:]
        return 200, {"ETag": etag}, content

    return answer


class Fetched:
    """A download into a folder, with the bytes that it told of."""

    def __init__(self, folder):
        self.target = folder / "raw" / "file.bin"
        self.bytes = 0

    def __call__(self, base, *, url=FILE, attempts=3):
        with upstream(base, attempts=attempts) as opened:
            return opened.download(url, self.target, self._count)

    def _count(self, number):
        self.bytes += number


@pytest.fixture
def fetch(tmp_path) -> Fetched:
    return Fetched(tmp_path)


# --- downloads that break ---------------------------------------------------------------------------------


def test_a_dropped_download_goes_on_where_it_stopped(server, fetch):
    server.answers = [dropped('"v1"', 4_000), ranged('"v1"')]

    facts = fetch(server.url)

    assert fetch.target.read_bytes() == CONTENT
    assert fetch.bytes == len(CONTENT), "no byte may be fetched twice"
    assert facts.size == len(CONTENT)
    assert facts.etag == '"v1"'
    assert server.requests[1][2]["Range"] == "bytes=4000-"
    assert server.requests[1][2]["If-Range"] == '"v1"'
    assert list(fetch.target.parent.iterdir()) == [fetch.target]


def test_a_later_process_goes_on_with_what_an_earlier_one_left(server, fetch):
    server.answers = [dropped('"v1"', 4_000)]
    with pytest.raises(UpstreamError, match="cannot be read") as caught:
        fetch(server.url, attempts=1)
    assert "what was downloaded is kept" in caught.value.remedy
    assert not fetch.target.exists()

    server.answers = [ranged('"v1"')]
    fetch(server.url)

    assert fetch.target.read_bytes() == CONTENT
    assert fetch.bytes == len(CONTENT)


def test_a_file_that_changed_meanwhile_is_fetched_from_its_start(server, fetch):
    new = b"another version" * 100
    server.answers = [dropped('"v1"', 4_000), ranged('"v2"', new)]

    fetch(server.url)

    assert fetch.target.read_bytes() == new


def test_last_modified_stands_in_for_a_missing_etag(server, fetch):
    day = "Mon, 05 Jan 2026 04:12:00 GMT"
    server.answers = [
        (200, {"Last-Modified": day, "Content-Length": "10240"}, CONTENT[:100]),
        (206, {"Last-Modified": day, "Content-Range": "bytes 100-10239/10240"}, CONTENT[100:]),
    ]

    facts = fetch(server.url)

    assert server.requests[1][2]["If-Range"] == day
    assert facts.last_modified == "2026-01-05T04:12:00+00:00"
    assert fetch.target.read_bytes() == CONTENT


@pytest.mark.parametrize("version", [{"ETag": 'W/"v1"'}, {}], ids=["weak ETag", "no version"])
def test_without_proof_of_the_version_nothing_is_resumed(server, fetch, version):
    server.answers = [
        (200, version | {"Content-Length": "10240"}, CONTENT[:100]),
        (200, version, CONTENT),
    ]

    fetch(server.url)

    assert "Range" not in server.requests[1][2]
    assert fetch.target.read_bytes() == CONTENT


def test_a_host_that_cannot_resume_is_asked_for_the_whole(server, fetch):
    server.answers = [dropped('"v1"', 4_000), (416, {}, b""), (200, {"ETag": '"v1"'}, CONTENT)]

    fetch(server.url)

    assert fetch.target.read_bytes() == CONTENT
    assert "Range" not in server.requests[2][2]


def test_a_part_that_was_not_asked_for_is_not_appended(server, fetch):
    server.answers = [
        dropped('"v1"', 4_000),
        (206, {"ETag": '"v1"', "Content-Range": "bytes 0-10239/10240"}, CONTENT),
        (200, {"ETag": '"v1"'}, CONTENT),
    ]

    fetch(server.url)

    assert fetch.target.read_bytes() == CONTENT


def test_an_unasked_416_or_206_is_an_error(server, fetch):
    server.answers = [(416, {}, b"")]
    with pytest.raises(UpstreamError, match="416"):
        fetch(server.url)
    with upstream(server.url) as opened, pytest.raises(UpstreamError, match="416"):
        opened.facts(FILE)

    server.answers = [(206, {}, b"part")]
    with pytest.raises(UpstreamError, match="cannot resume"):
        fetch(server.url, attempts=1)
    assert not fetch.target.exists()


def test_a_length_that_is_never_reached_is_given_up_and_named(server, fetch):
    server.answers = [(200, {"ETag": '"v1"', "Content-Length": "99999"}, CONTENT)]

    with pytest.raises(UpstreamError, match=r"host\.example/data/file\.bin cannot be read at http://127"):
        fetch(server.url, attempts=2)

    assert not fetch.target.exists()


def test_an_endless_file_is_cut_off(server, fetch, monkeypatch):
    monkeypatch.setattr(download, "_FILE_LIMIT", 5_000)
    server.answers = [(200, {}, CONTENT)]

    with pytest.raises(UpstreamError, match="larger than 5,000 bytes"):
        fetch(server.url)

    assert not fetch.target.exists()


# --- answers other than 200 -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "advice"), [(404, "--upstream"), (403, "MEDIATECH_USER_AGENT"), (401, "address")]
)
def test_a_refusal_is_not_asked_again(server, fetch, status, advice):
    server.answers = [(status, {}, b"no")]

    with pytest.raises(UpstreamError, match=rf"file\.bin answered {status}") as caught:
        fetch(server.url)

    assert len(server.requests) == 1
    assert advice in caught.value.remedy


def test_trouble_is_asked_again_a_bounded_number_of_times(server, fetch, capfd, caplog):
    server.answers = [(503, {"Retry-After": "0"}, b"later")]

    with pytest.raises(UpstreamError, match="answered 503"):
        fetch(server.url, attempts=3)

    assert len(server.requests) == 3
    assert "trying again" in caplog.text
    assert capfd.readouterr().out == "", "standard output is for results"


def test_trouble_that_passes_is_no_error(server, fetch):
    server.answers = [(503, {"Retry-After": "0"}, b""), (429, {"Retry-After": "0"}, b""), (200, {}, CONTENT)]

    fetch(server.url)

    assert fetch.target.read_bytes() == CONTENT


def test_the_time_that_a_host_asks_for_is_waited(server, fetch, caplog):
    server.answers = [(503, {"Retry-After": "1"}, b""), (200, {}, CONTENT)]

    fetch(server.url)

    assert "trying again in 1.0 s" in caplog.text


def test_a_host_that_does_not_answer_is_named_with_the_address_that_was_tried(fetch):
    with pytest.raises(
        UpstreamError, match=r"https://host\.example.* at http://127\.0\.0\.1:9/host"
    ) as caught:
        fetch("http://127.0.0.1:9", attempts=2)

    assert "--upstream" in caught.value.remedy


# --- redirects and hosts ----------------------------------------------------------------------------------


def test_a_redirect_to_an_allowed_host_is_read_at_the_mirror(server, fetch):
    server.answers = [(302, {"Location": "https://other.example/moved?v=1"}, b""), (200, {}, CONTENT)]

    fetch(server.url)

    assert [path for _, path, _ in server.requests] == [f"/{HOST}/data/file.bin", "/other.example/moved?v=1"]
    assert fetch.target.read_bytes() == CONTENT


def test_a_redirect_that_names_the_mirror_itself_is_followed(server, fetch):
    server.answers = [(302, {"Location": f"{server.url}/other.example/moved"}, b""), (200, {}, CONTENT)]

    fetch(server.url)

    assert server.requests[1][1] == "/other.example/moved"


@pytest.mark.parametrize(
    ("location", "problem"),
    [
        ("https://evil.example/x", r"evil\.example, which is not allowed"),
        ("https://host.example@evil.example/x", r"evil\.example, which is not allowed"),
        ("http://169.254.169.254/latest", "169.254.169.254, which is not allowed"),
        ("ftp://host.example/x", "no http or https"),
        ("file:///etc/passwd", "no http or https"),
        ("http://[broken", "no http or https"),
    ],
)
def test_a_redirect_elsewhere_is_refused(server, fetch, location, problem):
    server.answers = [(302, {"Location": location}, b"")]

    with pytest.raises(UpstreamError, match=problem):
        fetch(server.url)

    assert len(server.requests) == 1


def test_the_message_of_a_refused_host_names_the_setting(server, fetch):
    with pytest.raises(UpstreamError, match="not allowed") as caught:
        fetch(server.url, url="https://unknown.example/x")

    assert "MEDIATECH_ALLOWED_HOSTS" in caught.value.remedy
    assert server.requests == []


def test_redirects_in_a_circle_end(server, fetch):
    server.answers = [(302, {"Location": FILE}, b"")]

    with pytest.raises(UpstreamError, match="redirects more than"):
        fetch(server.url)


# --- pages and facts --------------------------------------------------------------------------------------


def test_a_page_is_decoded_by_the_charset_it_announces(server):
    server.answers = [(200, {"Content-Type": "text/html; charset=ISO-8859-1"}, "Décès".encode("latin-1"))]

    with upstream(server.url) as opened:
        assert opened.read_page(f"https://{HOST}/") == "Décès"


def test_a_page_that_is_too_long_is_refused(server, monkeypatch):
    monkeypatch.setattr(download, "_PAGE_LIMIT", 1_000)
    server.answers = [(200, {}, b"x" * 1_001)]

    with upstream(server.url) as opened, pytest.raises(UpstreamError, match="larger than 1,000 bytes"):
        opened.read_page(f"https://{HOST}/")


def test_facts_are_asked_without_a_transfer(server):
    server.answers = [(200, {"ETag": '"v1"', "Content-Length": "12", "Last-Modified": "no date"}, b"")]

    with upstream(server.url) as opened:
        facts = opened.facts(FILE)

    assert (facts.etag, facts.last_modified, facts.size) == ('"v1"', None, 12)
    assert server.requests[0][0] == "HEAD"
    assert server.requests[0][2]["User-Agent"] == "tests/1"


def test_a_version_is_named_by_what_the_host_says_of_it(server):
    names = []
    for etag in ('"v1"', '"v2"', '"v1"'):
        server.answers = [(200, {"ETag": etag}, b"")]
        with upstream(server.url) as opened:
            version = current_version(opened, FILE, name="file.json", format="json", feed="")
        assert version.stamp == etag
        names.append(version.name)

    assert names[0] == names[2] != names[1]


# --- folders ----------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    data = tmp_path / "mirror" / HOST / "data"
    data.mkdir(parents=True)
    (data / "file.bin").write_bytes(CONTENT)
    os.utime(data / "file.bin", (1_767_600_000, 1_767_600_000))
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    return tmp_path / "mirror"


def test_a_folder_stands_for_the_hosts(folder, fetch):
    facts = fetch(folder)

    assert fetch.target.read_bytes() == CONTENT
    assert fetch.bytes == len(CONTENT)
    assert (facts.size, facts.last_modified) == (len(CONTENT), "2026-01-05T08:00:00+00:00")


def test_a_folder_without_an_index_page_is_listed(folder):
    with upstream(folder) as opened:
        assert opened.read_page(f"https://{HOST}/data/") == '<a href="file.bin">file.bin</a>'


def test_a_linked_file_is_read(folder, fetch, tmp_path):
    (tmp_path / "elsewhere.bin").write_bytes(b"linked")
    (folder / HOST / "linked.bin").symlink_to(tmp_path / "elsewhere.bin")

    fetch(folder, url=f"https://{HOST}/linked.bin")

    assert fetch.target.read_bytes() == b"linked"


@pytest.mark.parametrize(
    "url",
    [
        f"https://{HOST}/../../secret.txt",
        f"https://{HOST}/%2e%2e/%2e%2e/secret.txt",
        f"https://{HOST}/..%2f..%2fsecret.txt",
        "https://../secret.txt",
        "https://unknown.example/data/file.bin",
        "file:///secret.txt",
    ],
)
def test_no_address_leads_out_of_the_folder(folder, fetch, url):
    with pytest.raises(UpstreamError, match="outside of the allowed hosts"):
        fetch(folder, url=url)


def test_a_file_that_the_folder_lacks_is_named(folder, fetch):
    with pytest.raises(
        UpstreamError, match=r"host\.example/other\.bin is not in the upstream folder"
    ) as caught:
        fetch(folder, url=f"https://{HOST}/other.bin")

    assert "--upstream" in caught.value.remedy


@pytest.mark.parametrize(
    ("base", "problem"),
    [
        ("/no/such/folder", "folder /no/such/folder does not exist"),
        ("no-such-folder", "does not exist"),
        ("ftp://host", "ftp://host is no http or https address"),
        ("file:///tmp", "no http or https"),
        ("http://", "no http or https"),
        ("http://host:port", "no http or https"),
        ("http://host:99999", "no http or https"),
        ("http://[host", "no http or https"),
    ],
)
def test_a_base_that_cannot_be_used_is_refused_by_name(base, problem):
    with pytest.raises(ConfigurationError, match=problem), upstream(base):
        pass
