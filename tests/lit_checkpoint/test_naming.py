import pytest

from lit_checkpoint.naming import check_template, format_name


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("{epoch}-{step}", "epoch=3-step=120.ckpt"),
        ("{epoch}-{step}-{val_loss:.3f}", "epoch=3-step=120-val_loss=0.123.ckpt"),
        ("{epoch:02d}", "epoch=03.ckpt"),
        ("model", "model.ckpt"),
        ("model.ckpt", "model.ckpt"),
        ("{val/acc:.2f}", "val_acc=0.50.ckpt"),
        ("run a-{step}", "run a-step=120.ckpt"),
    ],
)
def test_name_from_template(template, name):
    check_template(template)
    assert format_name(template, {"epoch": 3, "step": 120, "val_loss": 0.12345, "val/acc": 0.5}) == name


def test_missing_metric_is_an_error_that_names_what_is_there():
    with pytest.raises(ValueError, match=r"asks for 'val_los'.*There is: epoch, step, val_loss\."):
        format_name("{val_los}", {"epoch": 3, "step": 120, "val_loss": 0.1})


def test_bad_format_is_named():
    with pytest.raises(ValueError, match=r"cannot format loss=0\.5"):
        format_name("{loss:d}", {"loss": 0.5})


@pytest.mark.parametrize("template", ["", "best", "last", "last.ckpt", ".hidden", "a/b", "../x", "a\\b", "index.json"])
def test_template_that_cannot_be_a_file_name_is_refused(template):
    with pytest.raises(ValueError, match="filename="):
        check_template(template)
