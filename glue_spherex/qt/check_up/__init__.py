"""The check-up of a spectrum."""


def check_up_dialog(session, data, source_id=None):
    from .dialog import check_up_dialog as opened

    return opened(session, data, source_id)
