"""How many images a run has, and how many are done: several cutouts of one image count once."""

from collections import Counter


class ImageCount:
    """Counts images while they come and are measured.

    Parameters
    ----------
    done : iterable of hashable
        Images that are done already; see `glue_spherex.photometry.result_tables.image_key`.
    """

    def __init__(self, done=()):
        self._images, self._at_work = set(done), Counter()
        self._absent = set(self._images)

    def came(self, image, n_new):
        """An image is there, with so many cutouts that have to be measured."""
        self._absent.discard(image)
        if n_new:
            self._images.add(image)
            self._at_work[image] += n_new

    def measured(self, image):
        """One of its cutouts is measured."""
        self._at_work[image] -= 1
        if not self._at_work[image]:
            del self._at_work[image]

    @property
    def done(self):
        """Images all of whose cutouts are measured, as far as they are there."""
        return len(self._images) - len(self._at_work)

    def total(self, coming=0):
        """All images, if so many are still to come; those that are done may be among them."""
        return len(self._images) + max(0, coming - len(self._absent))
