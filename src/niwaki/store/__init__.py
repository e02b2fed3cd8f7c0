"""Files: pickle-free, atomic."""

from .checkpoint import load_checkpoint, save_checkpoint
from .files import write_file
from .fingerprint import check_fingerprint, fingerprint
from .parity import Parity
from .pretrained import load_pretrained, register_pretrained, save_pretrained
from .program import load_program, save_program
from .runtimes import export_onnx, export_openvino
from .small import load, save
from .training import load_training, save_training

__all__ = [
    "Parity",
    "check_fingerprint",
    "export_onnx",
    "export_openvino",
    "fingerprint",
    "load",
    "load_checkpoint",
    "load_pretrained",
    "load_program",
    "load_training",
    "register_pretrained",
    "save",
    "save_checkpoint",
    "save_pretrained",
    "save_program",
    "save_training",
    "write_file",
]
