"""The metrics an evaluation can compute, by name; each is imported when it is made."""

from __future__ import annotations

from collections.abc import Callable

from picolab.evaluation.late import late
from picolab.evaluation.metrics.protocol import Metric, Missing

__all__ = ["ANCHOR", "DEFAULT", "LEFT_OUT", "METRICS", "SET_METRICS", "Metric", "Missing", "check"]

METRICS: dict[str, Callable[[], Metric]] = {
    "psnr": late("metrics.pixel", "PSNR"),
    "ms_ssim": late("metrics.pixel", "MSSSIM"),
    "lpips_alex": late("metrics.perceptual", "Perceptual", "lpips_alex"),
    "lpips_vgg": late("metrics.perceptual", "Perceptual", "lpips_vgg"),
    "dists": late("metrics.perceptual", "Perceptual", "dists"),
    "wasserstein": late("metrics.perceptual", "Perceptual", "wasserstein"),
    "ssimulacra2": late("metrics.external", "SSIMULACRA2"),
    "butteraugli_3norm": late("metrics.external", "Butteraugli"),
    "text_mae": late("metrics.local", "TextMAE"),
    "ocr_error": late("metrics.reading", "OCRError"),
    "border_low": late("metrics.local", "BorderLow"),
}
# Of whole sets of pictures, by the titles of the tables; lower is better in all.
SET_METRICS = {
    "fd_lite0": "FD (EfficientNet-Lite0)",
    "kid_lite0": "KID (EfficientNet-Lite0)",
    "mmd_lite0": "MMD, Gaussian (EfficientNet-Lite0)",
}
# By name, what nobody can compute here, and why.
LEFT_OUT = {
    "cvvdp": "ColorVideoVDP: its package imports torchvision, of which PyPI has no build for a "
    "PyTorch without CUDA"
}
DEFAULT = ("psnr", "ms_ssim", "lpips_alex", "ssimulacra2")
# What codecs are compared by first: an evaluation goes without it only where metrics are named.
ANCHOR = "lpips_alex"


def check(name: str) -> None:
    """Raise `Missing` if this machine cannot compute the metric of that name."""
    try:
        METRICS.get(name, late("metrics.distribution", "Lite0"))()
    except ModuleNotFoundError as error:
        if (error.name or "picolab").startswith("picolab"):
            raise
        needed = f"{name} needs {error.name}, which is not installed: pip install './lab[eval]'"
        raise Missing(needed) from error
