"""Whether a decoded picture's text can still be read, by an OCR that training knows nothing of."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from picolab.evaluation.metrics.protocol import Missing, Picture

MODEL = "ch_PP-OCRv4_rec_infer.onnx"
HEIGHT, LEAST_WIDTH = 48, 320  # pixels of a line, as the network was trained
IS_TEXT = 0.3  # probability from which a pixel belongs to a line's core
UNCLIP = 1.6  # as the detectors of PaddleOCR: a core grows by so many times area over perimeter
LEAST_PIXELS = 20  # of a core; less are specks
LEAST_SURE = (
    0.8  # mean probability of the characters read in the original; other lines are left out
)
LEAST_CHARACTERS = 20  # in the original; pictures with fewer are not measured

Corners = tuple[float, ...]
"""x and y of a line's corners: upper left, lower left, lower right, upper right."""


class OCRError:
    """Edits (characters put in, left out, exchanged) that turn what PP-OCRv4 reads in the decoded
    picture into what it reads in the original, over the number of characters in the original;
    spaces are ignored.

    Lines are where `data.text.TextDetector` finds them in the original; both pictures are read in
    the same places. Chinese, Latin letters and digits; other scripts are taken for these.
    """

    name = "ocr_error"
    title = "OCR error"
    higher_is_better = False
    training_loss = False

    def __init__(self) -> None:
        # Here, because a training machine imports the metrics and has no ONNX Runtime.
        from picolab.data.text import TextDetector

        try:
            self.detector = TextDetector()
            self.reader = Reader()
        except ModuleNotFoundError as error:
            raise Missing(str(error)) from error
        self.version = f"1, {self.reader.version}, {self.detector.version}"
        self._reference: Picture | None = None
        self._lines: list[tuple[Corners, str]] = []

    def __call__(self, reference: Picture, decoded: Picture) -> float | None:
        # Many codecs and rates are measured against one original: its text is kept.
        if self._reference is not reference:
            self._lines = list(self._read(reference))
            self._reference = reference
        count = sum(len(text) for _, text in self._lines)
        if count < LEAST_CHARACTERS:
            return None
        image = Image.fromarray(decoded)
        return sum(edits(self.reader(_cut(image, c))[0], t) for c, t in self._lines) / count

    def _read(self, picture: Picture) -> Iterator[tuple[Corners, str]]:
        image = Image.fromarray(picture)
        for corners in lines(self.detector.probabilities(picture)):
            text, sure = self.reader(_cut(image, corners))
            if text and sure >= LEAST_SURE:
                yield corners, text


class Reader:
    """The recogniser of PP-OCRv4, as the package rapidocr-onnxruntime 1.4.4 carries it.

    Raises `ModuleNotFoundError` where that package is not installed. It is not imported, and none
    of what it needs is needed here.
    """

    def __init__(self) -> None:
        import onnxruntime as ort

        package = find_spec("rapidocr_onnxruntime")
        if package is None or not package.submodule_search_locations:
            raise ModuleNotFoundError("the OCR needs the package rapidocr-onnxruntime==1.4.4")
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        model = Path(package.submodule_search_locations[0]) / "models" / MODEL
        self.session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        characters = self.session.get_modelmeta().custom_metadata_map["character"].splitlines()
        # The first class stands for no character, the last for a space: the network puts spaces
        # where it likes, and nobody reads worse for it.
        self.characters = ["", *characters, ""]
        self.version = f"{MODEL} of rapidocr-onnxruntime {version('rapidocr-onnxruntime')}"

    def __call__(self, line: Image.Image) -> tuple[str, float]:
        """The text of a picture of one line, without spaces, and the mean probability of its
        characters."""
        width = max(1, round(HEIGHT * line.width / line.height))
        small = line.resize((width, HEIGHT), Image.Resampling.BILINEAR)
        planes = np.zeros((1, 3, HEIGHT, max(width, LEAST_WIDTH)), np.float32)
        values = np.asarray(small, np.float32)[:, :, ::-1] / 127.5 - 1  # BGR
        planes[0, :, :, :width] = values.transpose(2, 0, 1)
        (answer,) = self.session.run(None, {self.session.get_inputs()[0].name: planes})
        best = answer[0].argmax(1)
        # A character that goes on for several columns is one; two of a kind have none between.
        kept = (best > 0) & (best != np.concatenate([[0], best[:-1]]))
        text = "".join(self.characters[index] for index in best[kept])
        return text, float(answer[0].max(1)[kept].mean()) if text else 0.0


def lines(probabilities: NDArray[np.float32]) -> Iterator[Corners]:
    """The lines of text whose cores a detector marks: boxes along the longer axis of each core,
    grown to whole letters."""
    from scipy import ndimage

    labels, _ = ndimage.label(probabilities >= IS_TEXT)
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), 1):
        y, x = np.nonzero(labels[rows, columns] == number)
        if len(x) < LEAST_PIXELS:
            continue
        points = np.stack([x + columns.start, y + rows.start], 1).astype(np.float64)
        centre = points.mean(0)
        spread, axes = np.linalg.eigh(np.cov((points - centre).T))
        along = axes[:, 1] if spread[1] > 2 * spread[0] else np.array([1.0, 0.0])
        along = -along if along[0] < 0 else along
        across = np.array([-along[1], along[0]])
        basis = np.stack([along, across])
        inside = (points - centre) @ basis.T
        low, high = inside.min(0) - 0.5, inside.max(0) + 0.5
        length, height = high - low
        growth = UNCLIP * length * height / (2 * (length + height))
        low, high = low - growth, high + growth
        box = np.array([low, (low[0], high[1]), high, (high[0], low[1])])
        yield tuple((box @ basis + centre + 0.5).ravel().tolist())


def edits(a: str, b: str) -> int:
    """Levenshtein's distance of two strings."""
    row = list(range(len(b) + 1))
    for number, left in enumerate(a, 1):
        before, row[0] = row[0], number
        for place, right in enumerate(b, 1):
            change = before + (left != right)
            before, row[place] = row[place], min(change, row[place] + 1, row[place - 1] + 1)
    return row[-1]


def _cut(image: Image.Image, corners: Corners) -> Image.Image:
    """The upright picture of a line."""
    upper_left, lower_left, lower_right, _ = np.array(corners).reshape(4, 2)
    width, height = (
        max(1, round(float(np.linalg.norm(side))))
        for side in (lower_right - lower_left, lower_left - upper_left)
    )
    return image.transform(
        (width, height), Image.Transform.QUAD, corners, Image.Resampling.BILINEAR
    )
