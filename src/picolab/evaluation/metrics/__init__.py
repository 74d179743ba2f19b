"""The metrics an evaluation can compute, by name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from picolab.evaluation.metrics.distribution import Lite0
from picolab.evaluation.metrics.external import SSIMULACRA2, Butteraugli
from picolab.evaluation.metrics.local import BorderLow, TextMAE
from picolab.evaluation.metrics.perceptual import Perceptual
from picolab.evaluation.metrics.pixel import MSSSIM, PSNR
from picolab.evaluation.metrics.protocol import Metric, Missing
from picolab.evaluation.metrics.reading import OCRError

__all__ = ["DEFAULT", "LEFT_OUT", "METRICS", "SET_METRICS", "Metric", "Missing", "check"]

METRICS: dict[str, Callable[[], Metric]] = {
    "psnr": PSNR,
    "ms_ssim": MSSSIM,
    "lpips_alex": partial(Perceptual, "lpips_alex"),
    "lpips_vgg": partial(Perceptual, "lpips_vgg"),
    "dists": partial(Perceptual, "dists"),
    "wasserstein": partial(Perceptual, "wasserstein"),
    "ssimulacra2": SSIMULACRA2,
    "butteraugli_3norm": Butteraugli,
    "text_mae": TextMAE,
    "ocr_error": OCRError,
    "border_low": BorderLow,
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


def check(name: str) -> None:
    """Raise `Missing` if this machine cannot compute the metric of that name."""
    METRICS[name]() if name in METRICS else Lite0()
