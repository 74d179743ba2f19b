"""A trained codec to the files that picocodec runs."""
from __future__ import annotations
import io
import torch
from torch import nn
def to_onnx_bytes(module, inputs, input_names, output_names):
    buffer = io.BytesIO()
    torch.onnx.export(module, inputs, buffer, input_names=input_names, output_names=output_names, opset_version=17, dynamo=False)
    return buffer.getvalue()
