import pytest

from lit_loggers import CSVLogger, Logger, TensorBoardLogger, get_logger


@pytest.mark.parametrize(("name", "kind"), [("csv", CSVLogger), ("tensorboard", TensorBoardLogger)])
def test_built_in_loggers_are_registered(tmp_path, name, kind):
    logger = get_logger(name, save_dir=tmp_path, name="run", version=3)
    assert isinstance(logger, kind)
    assert (logger.name, logger.version) == ("run", 3)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"registered as 'cvs'; there is: csv, .*tensorboard"):
        get_logger("cvs")


def test_contract_cannot_be_used_itself():
    with pytest.raises(TypeError, match="abstract"):
        Logger()
