"""PSNR and MS-SSIM."""

from __future__ import annotations

import math
from importlib.metadata import version

import numpy as np

from picolab.evaluation.metrics.protocol import Picture


class PSNR:
    """Of the mean squared error over all pixels and the three channels of RGB; infinite for equal
    pictures."""

    name = "psnr"
    title = "PSNR (RGB, dB)"
    version = "1"
    higher_is_better = True
    training_loss = True

    def __call__(self, reference: Picture, decoded: Picture) -> float:
        difference = reference.astype(np.int32) - decoded
        error = np.square(difference, out=difference).mean(dtype=np.float64)
        return math.inf if error == 0 else 10 * math.log10(255**2 / error)


class MSSSIM:
    """Wang, Simoncelli and Bovik 2003: 5 scales, Gaussian window of 11, mean over R, G and B."""

    name = "ms_ssim"
    title = "MS-SSIM (RGB)"
    higher_is_better = True
    training_loss = False

    def __init__(self) -> None:
        # Here, because PSNR does without PyTorch, which takes a second to load.
        from pytorch_msssim import ms_ssim

        self.similarity = ms_ssim
        self.version = f"pytorch-msssim {version('pytorch-msssim')}"

    def __call__(self, reference: Picture, decoded: Picture) -> float:
        if min(reference.shape[:2]) <= 160:
            raise ValueError("MS-SSIM needs pictures of more than 160 pixels a side")
        import torch

        planes = [
            torch.from_numpy(np.ascontiguousarray(p)).permute(2, 0, 1)[None].float()
            for p in (reference, decoded)
        ]
        with torch.no_grad():
            return float(self.similarity(*planes, data_range=255))
