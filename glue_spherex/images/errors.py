"""What goes wrong with image files."""


class ImageFileError(ValueError):
    """An image, calibration file or image folder that cannot be used; the message says which, why and what to do."""
