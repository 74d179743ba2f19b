"""Where a picture has text: masks for the loss that protects it and the metric that checks it."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from picocodec.model.runtime import ort

Picture = NDArray[np.uint8]
Plane = NDArray[np.float32]

MODEL = "PP-OCRv6_det_small.onnx"
MULTIPLE = 32  # of which the network takes sides
TILE, STEP = 1024, 896  # larger pictures go through the network in overlapping tiles
IS_TEXT = 0.3  # probability from which a pixel belongs to a core
LEAST_MEAN = 0.6  # of a core's probabilities; less is a texture that looks a little like text
TALLEST = 24  # half height of a core: letters of about 130 pixels. Larger finds are mostly faces,
# walls and birds, and letters so tall need no protection
GROWTH = 1.8  # the network marks the inner part of a line; so many times its half height is lost
BLUR = 2.0  # pixels, standard deviation


class TextDetector:
    """The detector of PP-OCRv6 (small), as the package rapidocr 3.10.0 carries it.

    Raises `ModuleNotFoundError` where that package is not installed. It is not imported, and none
    of what it needs is needed here.
    """

    def __init__(self, threads: int = 1) -> None:
        package = find_spec("rapidocr")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError("the text detector needs the package rapidocr==3.10.0")
        model = Path(package.submodule_search_locations[0]) / "models" / MODEL
        if not model.is_file():
            raise ModuleNotFoundError(f"no {MODEL} in rapidocr: install rapidocr==3.10.0")
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        try:
            self.version = f"{MODEL} of rapidocr {version('rapidocr')}"
        except PackageNotFoundError:
            self.version = MODEL

    def __call__(self, picture: Picture) -> Plane:
        """The text mask `[H, W]` in [0, 1] of RGB `[H, W, 3]`: 1 on lines of text, with soft
        edges, 0 elsewhere."""
        return mask(self.probabilities(picture))

    def probabilities(self, picture: Picture) -> Plane:
        """The network's own answer, `[H, W]` in [0, 1]: high in the core of each line of text."""
        height, width, _ = picture.shape
        best = np.zeros((height, width), np.float32)
        for top in _starts(height):
            for left in _starts(width):
                part = picture[top : top + TILE, left : left + TILE]
                into = best[top : top + TILE, left : left + TILE]
                np.maximum(into, self._run(part), out=into)
        return best

    def _run(self, picture: Picture) -> Plane:
        height, width, _ = picture.shape
        margins = ((0, -height % MULTIPLE), (0, -width % MULTIPLE), (0, 0))
        values = np.pad(picture, margins, mode="edge").astype(np.float32) / 127.5 - 1
        planes = np.ascontiguousarray(values[None, :, :, ::-1].transpose(0, 3, 1, 2))  # BGR
        (answer,) = self.session.run(None, {self.session.get_inputs()[0].name: planes})
        return answer[0, 0, :height, :width]


def mask(probabilities: Plane) -> Plane:
    """Whole lines, with soft edges, from the cores of lines that the network marks.

    As the network was trained to mark lines shrunk by a margin in proportion to their height
    (Liao et al., "Real-time Scene Text Detection with Differentiable Binarization", AAAI 2020),
    each core grows by 1.8 times its own half height; then all is blurred.
    """
    labels, count = ndimage.label(probabilities >= IS_TEXT)
    if count == 0:
        return np.zeros_like(probabilities)
    every = np.arange(count + 1)
    means = np.asarray(ndimage.mean(probabilities, labels, every))
    inner = ndimage.distance_transform_edt(labels)
    half_heights = np.asarray(ndimage.maximum(inner, labels, every))
    lines = (means >= LEAST_MEAN) & (half_heights <= TALLEST) & (every > 0)
    if not lines.any():
        return np.zeros_like(probabilities)
    cores = lines[labels]
    distances, nearest = ndimage.distance_transform_edt(~cores, return_indices=True)
    reach = GROWTH * half_heights[labels[tuple(nearest)]]
    grown = (distances <= reach).astype(np.float32)
    return ndimage.gaussian_filter(grown, BLUR, mode="nearest").clip(0, 1)


def _starts(length: int) -> range:
    """Of tiles that overlap and together cover the length."""
    return range(0, max(length - TILE + STEP, 1), STEP)
