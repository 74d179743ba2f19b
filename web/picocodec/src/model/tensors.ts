/** Numbers on their way into ONNX Runtime, whichever build of it, and back. */
import type { InferenceSession, Tensor, TensorConstructor } from "onnxruntime-web";

export interface Floats {
  readonly data: Float32Array<ArrayBuffer>;
  readonly shape: readonly number[];
}

export function feedsOf(
  make: TensorConstructor,
  inputs: Record<string, Floats>,
): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(inputs).map(([name, { data, shape }]) => [
      name,
      new make("float32", data, shape),
    ]),
  );
}

export function outputsOf(outputs: InferenceSession.ReturnType): Record<string, Floats> {
  return Object.fromEntries(
    Object.entries(outputs).map(([name, tensor]) => [
      name,
      { data: tensor.data as Float32Array<ArrayBuffer>, shape: tensor.dims },
    ]),
  );
}
