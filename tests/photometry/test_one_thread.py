import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from glue_spherex.photometry.one_thread import one_thread


def threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_the_last_one_restores_what_was_before():
    """Two Python threads that measure: neither gives the other one more threads."""
    with threadpool_limits(2, user_api="blas"):
        one_thread.__enter__()
        one_thread.__enter__()
        assert threads() == {1}
        one_thread.__exit__()
        assert threads() == {1}
        one_thread.__exit__()
        assert threads() == {2}


def test_an_error_restores_too():
    @one_thread
    def fails():
        assert threads() == {1}
        raise ValueError("no")

    with threadpool_limits(2, user_api="blas"):
        with pytest.raises(ValueError, match="no"):
            fails()
        assert threads() == {2}
