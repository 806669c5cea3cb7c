import pytest

from lit_checkpoint import CheckpointIO, FileCheckpointIO, get_io


def test_name_class_and_object_are_found():
    one = FileCheckpointIO()
    assert get_io(one) is one
    assert isinstance(get_io(FileCheckpointIO), FileCheckpointIO)
    assert isinstance(get_io("file"), FileCheckpointIO)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"registered as 'fil'; there is: .*file"):
        get_io("fil")


@pytest.mark.parametrize("thing", [3, object, None])
def test_what_is_no_checkpoint_io_is_refused(thing):
    with pytest.raises(TypeError, match="CheckpointIO"):
        get_io(thing)


def test_contract_cannot_be_used_itself():
    with pytest.raises(TypeError, match="abstract"):
        CheckpointIO()
