"""The decoder's network by other engines and in 8 bits, beside ONNX Runtime's float32.

    python benchmarks/engines.py PHOTO ... [--model NAME]       # pip install openvino onnx

One tile of each photo. The first half of the photos calibrates the 8-bit network (1x1 convolutions
of the pixel path, weights by channel, QDQ), the others are measured: milliseconds of one core a
tile, engines taking turns, smallest of all runs; PSNR to the float32 pixels; BD-rate of LPIPS
(VGG), all having the same bytes.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import openvino
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from PIL import Image

from picocodec.coders.learned import LearnedCoder, decode_symbols
from picocodec.format import tiles
from picocodec.images.canvas import own, with_margin
from picocodec.model.model import Model
from picocodec.model.noise import noise
from picocodec.model.store import DEFAULT_MODEL, load_model
from picolab.evaluation.bjontegaard import Curve, over_images
from picolab.evaluation.metrics.perceptual import Perceptual

LEVELS = (100, 300, 500, 700)

Feed = dict[str, np.ndarray]
Engine = Callable[[Feed], np.ndarray]


def feed_of(model: Model, rgb: np.ndarray, tile: tiles.Tile, level: int) -> tuple[Feed, int]:
    """What the network is given of a tile, and the tile's bytes."""
    data = LearnedCoder(model).encode(with_margin(rgb, tile), level).payload
    z, symbols = decode_symbols(model, data, tile, level)
    feed = {"y_hat": model.dequantise(symbols, z, level)}
    feed["level"] = np.array([level / 1000], np.float32)
    if model.has_dial:
        feed["realism"] = np.array([model.realism], np.float32)
    if model.noise_channels:
        rows, columns = (2 * side for side in symbols.shape[1:])
        feed["noise"] = noise(model.noise_channels, (rows, columns))
    return feed, len(data)


class Calibration(CalibrationDataReader):
    def __init__(self, feeds: list[Feed]) -> None:
        self.feeds: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        return next(self.feeds, None)


def quantised(source: Path, folder: Path, feeds: list[Feed]) -> Path:
    """The network with 8-bit 1x1 convolutions."""
    plain, target = folder / "plain.onnx", folder / "int8.onnx"
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(plain)
    ort.InferenceSession(str(source), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(plain).graph
    shapes = {weight.name: tuple(weight.dims) for weight in graph.initializer}
    nodes = [
        node.name
        for node in graph.node
        if node.op_type == "Conv"
        and "shortcut" not in node.name
        and shapes[node.input[1]][2:] == (1, 1)
    ]
    quantize_static(
        plain,
        target,
        Calibration(feeds),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        nodes_to_quantize=nodes,
    )
    return target


def by_onnxruntime(path: Path) -> Engine:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feed: session.run(None, feed)[0]


def by_openvino(path: Path, precision: str) -> Engine:
    settings = {
        "INFERENCE_NUM_THREADS": 1,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": precision,
    }
    request = openvino.compile_model(str(path), "CPU", settings).create_infer_request()
    return lambda feed: request.infer(feed)[0].copy()


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(-10 * np.log10(max(np.square(a - b).mean(), 1e-12)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="+", type=Path)
    parser.add_argument("--model", default=DEFAULT_MODEL)
    args = parser.parse_args()
    model, lpips = load_model(args.model, 1), Perceptual("lpips_vgg")
    photos = []
    for path in args.photos:
        with Image.open(path) as image:
            photos.append(np.asarray(image.convert("RGB"))[: tiles.TILE, : tiles.TILE])
    half = len(photos) // 2
    shared = [tiles.Tile(0, 0, *rgb.shape[:2]) for rgb in photos]
    feeds = [
        feed_of(model, rgb, tile, level)[0]
        for rgb, tile in zip(photos[:half], shared, strict=False)
        for level in LEVELS
    ]
    source = model.folder / "synthesis.onnx"
    with tempfile.TemporaryDirectory() as folder:
        int8 = quantised(source, Path(folder), feeds)
        engines: dict[str, Engine] = {
            "ONNX Runtime, float32": by_onnxruntime(source),
            "ONNX Runtime, 8 bits": by_onnxruntime(int8),
            "OpenVINO, float32": by_openvino(source, "f32"),
            "OpenVINO, bfloat16": by_openvino(source, "bf16"),
            "OpenVINO, 8 bits": by_openvino(int8, "f32"),
        }
    anchor = next(iter(engines))
    seconds: dict[str, list[float]] = {name: [] for name in engines}
    close: dict[str, list[float]] = {name: [] for name in engines}
    curves: dict[str, dict[str, Curve]] = {name: {} for name in engines}
    for path, rgb, tile in list(zip(args.photos, photos, shared, strict=True))[half:]:
        bpp, quality = [], {name: [] for name in engines}
        for level in LEVELS:
            feed, size = feed_of(model, rgb, tile, level)
            bpp.append(8 * size / rgb.shape[0] / rgb.shape[1])
            for name, engine in engines.items():
                start = time.process_time()
                canvas = engine(feed)
                seconds[name].append(time.process_time() - start)
                if name == anchor:
                    exact = canvas
                close[name].append(psnr(canvas, exact))
                quality[name].append(-lpips(rgb, own(canvas, tile)))
        for name in engines:
            curves[name][path.name] = Curve(bpp, quality[name])
    print("| engine | ms a tile | times faster | PSNR to float32 | BD-rate, LPIPS |")
    print("| --- | --- | --- | --- | --- |")
    for name in engines:
        best = min(seconds[name])
        if name == anchor:
            print(f"| {name} | {1e3 * best:.0f} | 1 | | |")
            continue
        rate = over_images(curves[anchor], curves[name]).percent
        print(
            f"| {name} | {1e3 * best:.0f} | {min(seconds[anchor]) / best:.2f} | "
            f"{np.mean(close[name]):.1f} | {rate:+.2f} % |"
        )


if __name__ == "__main__":
    main()
