"""The dialog that opens jobs of IRSA's Spectrophotometry Tool."""

from .dialog import IrsaJobDialog, irsa_job_dialog

__all__ = ["IrsaJobDialog", "irsa_job_dialog"]
