from glue_spherex.model.wording import counted


def test_one_and_several():
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
