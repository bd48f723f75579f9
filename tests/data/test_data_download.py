"""Downloads from servers of our own on this machine: cut, wrong, silent and missing ones."""

import contextlib
import hashlib
import http.server
import os
import re
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from functools import partial

import pytest
from archives import (
    cifar10_arrays,
    idx_files,
    mnist_arrays,
    nowhere,  # noqa: F401 (a fixture)
    python_files,
    write_tar,
)

from course_utils.data import download, find_sources, load_cifar10, load_mnist
from course_utils.data.catalogue import SPECS
from course_utils.data.spec import Download
from course_utils.errors import CacheError
from course_utils.paths import CHECKOUT
from course_utils.runtime import cache_dir

NAME = "cifar-10-python.tar.gz"


class Server:
    """Serves files from memory and records what was asked for.

    Attributes
    ----------
    files : dict of str to bytes
        By name.
    cut_after : int or None
        Break every connection after so many bytes.
    ranges : bool
        Whether parts of files can be asked for.
    asked : list of (str, str or None)
        Name and range of every download.
    """

    def __init__(self, files, *, cut_after=None, ranges=True):
        self.files, self.cut_after, self.ranges = files, cut_after, ranges
        self.asked = []
        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self))
        threading.Thread(target=self.http.serve_forever, args=(0.01,), daemon=True).start()

    def url(self, name=NAME):
        return f"http://127.0.0.1:{self.http.server_port}/{name}"


class Handler(http.server.BaseHTTPRequestHandler):
    def __init__(self, server, *arguments):
        self.mine = server
        super().__init__(*arguments)

    def do_GET(self):
        name, wanted = self.path[1:], self.headers["Range"]
        body = self.begin(name, wanted)
        if body is not None:
            self.mine.asked.append((name, wanted))
            with contextlib.suppress(ConnectionError):  # who reads may hang up: its right
                self.wfile.write(body[: self.mine.cut_after])

    def do_HEAD(self):
        self.begin(self.path[1:], None)

    def begin(self, name, wanted):
        data = self.mine.files.get(name)
        if data is None:
            self.send_error(404)
            return None
        start = 0
        if wanted and self.mine.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        return data[start:]

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(nowhere, monkeypatch):  # noqa: F811
    """Start servers; downloads are allowed, and each block is a hundredth of the file."""
    monkeypatch.setenv("COURSE_OFFLINE", "0")
    monkeypatch.setattr(download, "_BLOCK", 10_000)
    servers = []

    def start(files, **settings):
        servers.append(Server(files, **settings))
        return servers[-1]

    yield start
    for server in servers:
        server.http.shutdown()
        server.http.server_close()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    return write_tar(python_files(cifar10_arrays()), tmp_path_factory.mktemp("d") / NAME)


@pytest.fixture
def whole(archive):
    return archive.read_bytes()


def publish(monkeypatch, whole, *urls):
    """Say that the file is to be had there."""
    file = Download(NAME, len(whole), hashlib.md5(whole).hexdigest(), urls)
    monkeypatch.setitem(SPECS, "cifar10", replace(SPECS["cifar10"], downloads=(file,)))


def downloads():
    return sorted(p.name for p in (cache_dir() / "downloads").iterdir() if p.suffix != ".lock")


def test_download_once_with_progress_on_stdout(serve, whole, monkeypatch, capfd):
    server = serve({NAME: whole})
    publish(monkeypatch, whole, server.url())
    assert not any(rung.found for rung in find_sources()[:-1])
    one, two = load_cifar10(), load_cifar10()
    assert not one.source.is_stand_in
    assert one.source == two.source
    assert server.asked == [(NAME, None)]
    assert downloads() == [NAME]
    assert [r.rung for r in find_sources() if r.found] == ["user's cache", "stand-in"]
    out, err = capfd.readouterr()
    assert not err
    assert re.findall(r"\rDownloading .*: (\d+)% of [\d.]+ MB", out)[-1] == "100"
    assert out.endswith("\n")


def test_a_cut_connection_is_taken_up_where_it_broke(serve, whole, monkeypatch):
    server = serve({NAME: whole}, cut_after=len(whole) // 2 - 1)
    publish(monkeypatch, whole, server.url())
    assert not load_cifar10().source.is_stand_in
    half = len(whole) // 2 - 1
    assert server.asked == [
        (NAME, wanted) for wanted in (None, f"bytes={half}-", f"bytes={2 * half}-")
    ]
    assert downloads() == [NAME]


def test_a_later_run_and_another_server_take_up_what_is_there(serve, whole, monkeypatch):
    broken = serve({NAME: whole}, cut_after=len(whole) // 10)
    publish(monkeypatch, whole, broken.url())
    assert load_cifar10().source.is_stand_in
    assert downloads() == [f"{NAME}.part"]
    assert len(broken.asked) == 5
    good = serve({NAME: whole})
    publish(monkeypatch, whole, good.url())
    assert not load_cifar10().source.is_stand_in
    assert good.asked == [(NAME, f"bytes={len(whole) // 10 * 5}-")]


def test_a_server_that_cannot_resume_sends_all_again(serve, whole, monkeypatch):
    part = cache_dir() / "downloads" / f"{NAME}.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 1000)
    server = serve({NAME: whole}, ranges=False)
    publish(monkeypatch, whole, server.url())
    assert not load_cifar10().source.is_stand_in
    assert server.asked == [(NAME, "bytes=1000-")]


@pytest.mark.parametrize("what", ["wrong bytes", "another size", "missing", "gone", "silent"])
def test_the_second_server_helps_out(what, serve, whole, monkeypatch, capfd):
    bad = serve(
        {
            "wrong bytes": {NAME: b"x" * len(whole)},
            "another size": {NAME: whole + b"x"},
        }.get(what, {})
    ).url()
    silent = socket.create_server(("127.0.0.1", 0))
    if what == "gone":
        with socket.create_server(("127.0.0.1", 0)) as unused:
            bad = f"http://127.0.0.1:{unused.getsockname()[1]}/{NAME}"
    elif what == "silent":
        monkeypatch.setattr(download, "PROBE_SECONDS", 1.5)
        bad = f"http://127.0.0.1:{silent.getsockname()[1]}/{NAME}"
    good = serve({NAME: whole})
    publish(monkeypatch, whole, bad, good.url())
    with silent:
        assert not load_cifar10().source.is_stand_in
    assert good.asked == [(NAME, None)]
    assert downloads() == [NAME]
    out, err = capfd.readouterr()
    assert not err
    said = {
        "wrong bytes": "wrong checksum",
        "another size": f"it has another file, of {len(whole) + 1:,} bytes",
        "missing": "HTTP status 404",
    }
    if what in said:
        assert f"did not deliver {NAME}: {said[what]}.\n" in out


def test_a_wrong_file_is_not_kept(serve, whole, monkeypatch):
    server = serve({NAME: b"x" * len(whole)})
    publish(monkeypatch, whole, server.url())
    assert load_cifar10().source.is_stand_in
    assert downloads() == []


def test_a_damaged_file_in_the_cache_is_replaced(serve, whole, monkeypatch):
    server = serve({NAME: whole})
    publish(monkeypatch, whole, server.url())
    folder = cache_dir() / "downloads"
    folder.mkdir(parents=True)
    (folder / NAME).write_bytes(whole[:-9_000])
    assert not load_cifar10().source.is_stand_in
    assert (folder / NAME).read_bytes() == whole


def test_mnist_comes_whole_or_not_at_all(serve, monkeypatch):
    files = idx_files(mnist_arrays())
    server = serve(dict(list(files.items())[:3]))
    published = tuple(
        Download(name, len(data), hashlib.md5(data).hexdigest(), (server.url(name),))
        for name, data in files.items()
    )
    monkeypatch.setitem(SPECS, "mnist", replace(SPECS["mnist"], downloads=published))
    assert load_mnist().source.is_stand_in
    assert not find_sources("mnist")[2].found
    server.files = files
    data = load_mnist()
    assert data.source.location == str(cache_dir() / "downloads" / "mnist")
    assert len(server.asked) == 4, "three files were fetched twice"


# --- No network -------------------------------------------------------------------------------


def test_offline_asks_nobody(serve, whole, monkeypatch):
    server = serve({NAME: whole})
    publish(monkeypatch, whole, server.url())
    monkeypatch.setenv("COURSE_OFFLINE", "1")
    assert load_cifar10().source.is_stand_in
    assert server.asked == []


def test_no_answer_costs_a_few_seconds_only(serve, whole, monkeypatch):
    def resolve_nothing(*_, **__):
        time.sleep(30)  # a name server that does not answer
        raise OSError

    monkeypatch.setattr(socket, "getaddrinfo", resolve_nothing)
    publish(monkeypatch, whole, f"http://a.invalid/{NAME}", f"http://b.invalid/{NAME}")
    assert download.PROBE_SECONDS <= 3
    monkeypatch.setattr(download, "PROBE_SECONDS", 0.5)
    start = time.monotonic()
    assert download.fetch(SPECS["cifar10"]) is None
    assert time.monotonic() - start < 2.5


@pytest.mark.process
def test_no_network_at_all(serve, whole):
    """The published addresses, in a process that has no network."""
    can = subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode == 0
    if not can:
        pytest.skip("needs the right to take the network away from a process")
    program = (
        "import time; from course_utils.data import download; "
        "from course_utils.data.catalogue import CIFAR10, MNIST; start = time.monotonic(); "
        "print(download.fetch(CIFAR10), download.fetch(MNIST), time.monotonic() - start < 8)"
    )
    done = subprocess.run(
        ["unshare", "-rn", sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT)},
    )
    assert done.stdout.split() == ["None", "None", "True"]
    assert done.stderr == ""


def test_a_full_disk_is_an_error_and_leaves_nothing(serve, whole, monkeypatch):
    server = serve({NAME: whole})
    publish(monkeypatch, whole, server.url())

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download._Progress, "show", full)
    with pytest.raises(CacheError, match=r"could not be stored in .* \(No space left on device\)"):
        load_cifar10()
    assert downloads() == []


def test_the_published_addresses_are_of_one_file_each():
    for spec in SPECS.values():
        for file in spec.downloads:
            assert len(file.urls) >= 2, "one server is not enough"
            assert all(url.startswith("https://") for url in file.urls)
            assert all(url.endswith(f"/{file.name}") for url in file.urls)
            assert re.fullmatch("[0-9a-f]{32}", file.md5)
    (archive,) = SPECS["cifar10"].downloads
    assert (archive.size, archive.md5) == (170_498_071, "c58f30108f718f92721af3b95e74349a")
