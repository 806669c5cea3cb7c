import subprocess
import sys
import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from lit_loggers import TensorBoardLogger, tensorboard


def scalars(logger, tag):
    return [(event.step, event.value) for event in EventAccumulator(logger.log_dir).Reload().Scalars(tag)]


def test_axis_is_the_coordinate_asked_for_and_the_step_is_kept(tmp_path):
    logger = TensorBoardLogger(tmp_path, axis="samples")
    for step in range(3):
        logger.log_metrics({"loss": 1.0}, step=step, samples=64 * step, epoch=0)
    logger.finalize()
    assert scalars(logger, "loss") == [(0, 1.0), (64, 1.0), (128, 1.0)]
    assert scalars(logger, "step") == [(0, 0.0), (64, 1.0), (128, 2.0)]


def test_truncate_goes_by_the_step_on_every_axis(tmp_path):
    first = TensorBoardLogger(tmp_path, version=0, axis="epoch")
    for step in range(12):
        first.log_metrics({"loss": float(step)}, step=step, epoch=step // 4)
    first.finalize()
    again = TensorBoardLogger(tmp_path, version=0, axis="epoch")
    again.truncate(5)
    again.log_metrics({"loss": 60.0}, step=6, epoch=1)
    again.finalize()
    # Epoch 1 holds steps 4 to 7: two of them stay.
    assert scalars(again, "loss") == [(0, 0.0), (0, 1.0), (0, 2.0), (0, 3.0), (1, 4.0), (1, 5.0), (1, 60.0)]
    again.truncate(100)
    assert len(scalars(again, "loss")) == 7
    again.truncate(4)
    again.log_metrics({"loss": 50.0}, step=5, epoch=1)
    again.finalize()
    assert scalars(again, "loss") == [(0, 0.0), (0, 1.0), (0, 2.0), (0, 3.0), (1, 4.0), (1, 50.0)]


def test_row_without_the_axis_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"axis='epoch', but the row has only step:"):
        TensorBoardLogger(tmp_path, axis="epoch").log_metrics({"a": 1.0}, step=0)
    with pytest.raises(ValueError, match=r"axis='time' must be one of 'step', 'epoch'"):
        TensorBoardLogger(tmp_path, axis="time")


def test_prefix_is_put_before_every_metric(tmp_path):
    logger = TensorBoardLogger(tmp_path, prefix="run")
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.finalize()
    assert scalars(logger, "run-loss") == [(0, 1.0)]


@pytest.mark.parametrize(
    ("status", "shown"),
    [("success", api_pb2.STATUS_SUCCESS), ("failed", api_pb2.STATUS_FAILURE), ("interrupted", api_pb2.STATUS_UNKNOWN)],
)
def test_status_of_the_run_is_what_the_hparams_tab_reads(tmp_path, status, shown):
    logger = TensorBoardLogger(tmp_path)
    logger.log_hyperparams({"lr": 0.1})
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.finalize(status)
    accumulator = EventAccumulator(logger.log_dir).Reload()
    content = accumulator.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    assert metadata.parse_session_end_info_plugin_data(content).status == shown


def test_the_hparams_tab_lists_runs_with_their_metrics(tmp_path):
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins import base_plugin
    from tensorboard.plugins.hparams import backend_context, list_session_groups

    for lr in (0.1, 0.2):
        logger = TensorBoardLogger(tmp_path)
        logger.log_hyperparams({"lr": lr, "model": {"name": "mlp"}})
        logger.log_metrics({"loss": lr * 10}, step=0)
        logger.finalize()
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(tmp_path))
    context = backend_context.Context(base_plugin.TBContext(data_provider=provider))
    request_context, experiment = RequestContext(), "x"
    info = context.experiment_from_metadata(
        request_context,
        experiment,
        True,
        context.hparams_metadata(request_context, experiment),
        context.hparams_from_data_provider(request_context, experiment, 100),
    )
    assert {hparam.name for hparam in info.hparam_infos} == {"lr", "model/name"}
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=10,
        allowed_statuses=list(api_pb2.Status.values()),
        col_params=[api_pb2.ColParams(hparam="lr"), api_pb2.ColParams(metric={"tag": "loss", "group": ""})],
    )
    groups = list_session_groups.Handler(request_context, context, experiment, request).run().session_groups
    found = sorted(
        (group.hparams["lr"].number_value, [value.value for value in group.metric_values if value.name.tag == "loss"])
        for group in groups
    )
    assert found == [(0.1, [1.0]), (0.2, [2.0])]


def test_hyperparameters_that_come_too_late_for_tensorboard_are_said(tmp_path):
    logger = TensorBoardLogger(tmp_path)
    logger.log_hyperparams({"lr": 0.1})
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.log_hyperparams({"lr": 0.1})
    with pytest.warns(UserWarning, match="will not be seen there"):
        logger.log_hyperparams({"lr": 0.2})


def test_experiment_is_torchs_writer_on_the_same_run(tmp_path):
    torch = pytest.importorskip("torch")
    logger = TensorBoardLogger(tmp_path)
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.experiment.add_text("note", "hello", 1)
    logger.experiment.add_histogram("weights", torch.arange(5.0), 1)
    logger.log_metrics({"loss": 2.0}, step=1)
    logger.log_metrics({"loss": 3.0}, step=2)
    logger.truncate(1)
    logger.log_metrics({"loss": 4.0}, step=2)
    logger.finalize()
    accumulator = EventAccumulator(logger.log_dir).Reload()
    assert accumulator.Tags()["histograms"] == ["weights"]
    assert "note/text_summary" in accumulator.Tags()["tensors"]
    assert scalars(logger, "loss") == [(0, 1.0), (1, 2.0), (2, 4.0)]


def test_without_torch_the_experiment_says_so_and_logging_works(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    logger = TensorBoardLogger(tmp_path)
    with pytest.raises(ModuleNotFoundError, match=r"lit-loggers\[torch\]"):
        _ = logger.experiment
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.finalize()
    assert scalars(logger, "loss") == [(0, 1.0)]


def test_logging_imports_neither_torch_nor_tensorflow(tmp_path):
    code = """
import sys
import lit_loggers
assert not {"torch", "tensorboard", "fsspec", "numpy"} & set(sys.modules), "import alone"
logger = lit_loggers.TensorBoardLogger(sys.argv[1])
logger.log_hyperparams({"lr": 0.1})
logger.log_metrics({"loss": 1.0}, step=0)
logger.truncate(0)
logger.finalize()
assert not {"torch", "tensorflow"} & set(sys.modules), "after logging"
"""
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)


def test_rows_are_written_after_ten_seconds_without_flush(tmp_path, monkeypatch):
    logger = TensorBoardLogger(tmp_path)
    logger.log_metrics({"loss": 1.0}, step=0)
    later = time.monotonic() + 11
    monkeypatch.setattr(tensorboard.time, "monotonic", lambda: later)
    logger.log_metrics({"loss": 2.0}, step=1)
    assert scalars(logger, "loss") == [(0, 1.0), (1, 2.0)]


def test_event_files_of_one_run_sort_in_the_order_they_were_begun(tmp_path):
    begun = []
    for step in range(12):  # within one second, over a counter that passes from 9 to 10
        logger = TensorBoardLogger(tmp_path, version=0)
        logger.log_metrics({"loss": 1.0}, step=step)
        logger.finalize()
        begun += sorted(path.name for path in Path(logger.log_dir).iterdir() if path.name not in begun)
    assert begun == sorted(begun)
    assert len(begun) == 12


def test_memory_url(tmp_path):
    fsspec = pytest.importorskip("fsspec")
    logger = TensorBoardLogger("memory://test_tensorboard")
    logger.log_metrics({"loss": 1.0}, step=0)
    logger.finalize()
    for path in fsspec.filesystem("memory").find("/test_tensorboard"):
        (tmp_path / path.rpartition("/")[2]).write_bytes(fsspec.filesystem("memory").cat(path))
    assert [event.value for event in EventAccumulator(str(tmp_path)).Reload().Scalars("loss")] == [1.0]
