"""Files: pickle-free, atomic."""

from .checkpoint import load_checkpoint, save_checkpoint
from .files import write_file
from .fingerprint import check_fingerprint, fingerprint
from .small import load, save
from .training import load_training, save_training

__all__ = [
    "check_fingerprint",
    "fingerprint",
    "load",
    "load_checkpoint",
    "load_training",
    "save",
    "save_checkpoint",
    "save_training",
    "write_file",
]
