"""A real object store over HTTP: a server of the S3 protocol on this machine."""

import os

import pytest

from lit_checkpoint import (
    CheckpointCorruptError,
    CheckpointManager,
    FileCheckpointIO,
    ShardedCheckpointIO,
    latest_valid,
    load,
    resolve_checkpoint,
    verify,
)

moto = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")
pytestmark = [
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


@pytest.fixture
def server(monkeypatch):
    import fsspec

    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_MAX_ATTEMPTS": "1",
    }.items():
        monkeypatch.setitem(os.environ, name, value)
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setitem(
        fsspec.config.conf,
        "s3",
        {
            "endpoint_url": f"http://{host}:{port}",
            "config_kwargs": {"retries": {"max_attempts": 1}, "connect_timeout": 1, "read_timeout": 1},
        },
    )
    fs = fsspec.filesystem("s3", skip_instance_cache=True)
    if not fs.exists("bucket"):  # the server's memory is that of this process
        fs.mkdir("bucket")
    fs.retries = 1
    yield server
    server.stop()


@pytest.mark.parametrize("io", [FileCheckpointIO(), ShardedCheckpointIO()], ids=["file", "sharded"])
def test_a_manager_keeps_its_promises_on_s3(server, io, make_state, assert_state):
    url = f"s3://bucket/run-{type(io).__name__}"
    manager = CheckpointManager(url, monitor="loss", io=io)
    for step, loss in enumerate([0.5, 0.2, 0.4]):
        manager.save(make_state(step, size=2_000_000), step=step, metrics={"loss": loss})
    assert latest_valid(url) == manager.last_path == resolve_checkpoint(url, "last")
    assert_state(load(manager.last_path), 2)
    assert_state(load(resolve_checkpoint(url, "best")), 1)
    verify(manager.best_path)
    with pytest.raises(FileNotFoundError):
        load(f"{url}/step=0.ckpt")
    assert CheckpointManager(url, monitor="loss", io=io).best_score == 0.2


def test_a_store_that_is_gone_raises_and_loses_nothing(server, make_state, assert_state):
    import fsspec

    io, url = FileCheckpointIO(), "s3://bucket/a.ckpt"
    io.save(make_state(1), url)
    fs = fsspec.filesystem("s3")
    content = fs.cat(url)
    fs.pipe("s3://bucket/b.ckpt", content[:-30])
    with pytest.raises(CheckpointCorruptError, match="cut short"):
        io.load("s3://bucket/b.ckpt")
    host, port = server.get_host_and_port()
    server.stop()
    with pytest.raises(Exception, match=r"(?i)connect|endpoint|attempt"):
        io.save(make_state(2), url)
    again = moto.ThreadedMotoServer(ip_address=host, port=port)
    again.start()
    try:
        assert_state(io.load(url), 1)
        io.save(make_state(2), url)
        assert_state(io.load(url), 2)
    finally:
        again.stop()
