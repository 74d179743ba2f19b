// From a model's preview.onnx, which gives half the sides, a network for a quarter of them.
//
// A preview ends with a linear map from the latent to squares of pixels, which depth-to-space lays
// out. That is over half of its work. The mean of four pixels is linear, too: a quarter of the rows
// of the map, each the mean of four, gives it at once. All else stays as it is.

// Field numbers of ONNX (onnx.proto).
const GRAPH = 7;
const [NODE, INITIALIZER, VALUE_INFO] = [1, 5, 13];
const [INPUT, OUTPUT, OPERATOR, ATTRIBUTE] = [1, 2, 4, 5];
const [ATTRIBUTE_NAME, ATTRIBUTE_INT] = [1, 3];
const [DIMENSION, TYPE, TENSOR_NAME, RAW] = [1, 2, 8, 9];
const [FLOAT, HALF] = [1, 10];
const [VARINT, BYTES] = [0, 2]; // kinds of fields in a protocol buffer

const COLOURS = 3;

/** The fields of a message: numbers as they are, all else as bytes. */
function fieldsOf(bytes) {
  const fields = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++];
      value += (byte & 127) * scale;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [number, kind] = [Math.floor(tag / 8), tag % 8];
    const start = at;
    if (kind === VARINT) {
      const value = varint();
      fields.push({ number, kind, value, data: bytes.subarray(start, at) });
    } else {
      const length = kind === BYTES ? varint() : kind === 1 ? 8 : 4;
      fields.push({ number, kind, data: bytes.subarray(at, (at += length)) });
    }
  }
  return fields;
}

function varintOf(value) {
  const out = [];
  for (; value >= 128; value = Math.floor(value / 128)) out.push(128 + (value % 128));
  return Buffer.from([...out, value]);
}

function messageOf(fields) {
  return Buffer.concat(
    fields.flatMap(({ number, kind, data }) => [
      varintOf(8 * number + kind),
      ...(kind === BYTES ? [varintOf(data.length)] : []),
      data,
    ]),
  );
}

const number = (field, value) => ({ number: field, kind: VARINT, data: varintOf(value) });
const texts = (fields, wanted) =>
  fields.filter((field) => field.number === wanted).map(({ data }) => data.toString());

function floatOfHalf(half) {
  const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
  const size = exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24;
  return half & 0x8000 ? -size : size;
}

/** A tensor `[3 side side, ...]` of the map with `[3 side/2 side/2, ...]`: means of 2 by 2. */
function meansOf(fields, side) {
  const dimensions = fields.filter((field) => field.number === DIMENSION).map(({ value }) => value);
  const type = fields.find((field) => field.number === TYPE).value;
  const raw = fields.find((field) => field.number === RAW).data;
  const size = dimensions.slice(1).reduce((product, n) => product * n, 1);
  if (dimensions[0] !== COLOURS * side ** 2 || (type !== FLOAT && type !== HALF)) {
    throw new Error("the map of preview.onnx is not of the kind that is known here");
  }
  const at = (i) => (type === HALF ? floatOfHalf(raw.readUInt16LE(2 * i)) : raw.readFloatLE(4 * i));
  const half = side / 2;
  const means = new Float32Array(COLOURS * half ** 2 * size);
  for (let row = 0; row < COLOURS * half; row++) {
    for (let column = 0; column < half; column++) {
      const from = (2 * row * side + 2 * column) * size;
      const to = (row * half + column) * size;
      for (let i = 0; i < size; i++) {
        const sum = at(from + i) + at(from + size + i);
        means[to + i] = (sum + at(from + side * size + i) + at(from + (side + 1) * size + i)) / 4;
      }
    }
  }
  return messageOf([
    number(DIMENSION, COLOURS * half ** 2),
    ...dimensions.slice(1).map((n) => number(DIMENSION, n)),
    number(TYPE, FLOAT),
    ...fields.filter((field) => field.number === TENSOR_NAME),
    { number: RAW, kind: BYTES, data: Buffer.from(means.buffer) },
  ]);
}

/** The network for a quarter of the sides; throws where the preview is built in another way. */
export function quartered(preview) {
  const model = fieldsOf(preview);
  const graph = fieldsOf(model.find((field) => field.number === GRAPH).data);
  const nodes = graph.filter((field) => field.number === NODE).map(({ data }) => fieldsOf(data));
  const maker = (name) => nodes.find((node) => texts(node, OUTPUT).includes(name));

  const last = nodes.findLastIndex((node) => texts(node, OPERATOR)[0] === "DepthToSpace");
  const map = maker(texts(nodes[last], INPUT)[0]);
  if (texts(map, OPERATOR)[0] !== "Conv") throw new Error("preview.onnx does not end with a map");
  // Weights are kept as halves, and cast.
  const changed = texts(map, INPUT).slice(1).map((name) => {
    const cast = maker(name);
    return cast ? texts(cast, INPUT)[0] : name;
  });
  let side = 0;
  const smaller = nodes[last].map((field) => {
    const attribute = field.number === ATTRIBUTE ? fieldsOf(field.data) : [];
    if (texts(attribute, ATTRIBUTE_NAME)[0] !== "blocksize") return field;
    side = attribute.find((part) => part.number === ATTRIBUTE_INT).value;
    const halved = attribute.map((part) =>
      part.number === ATTRIBUTE_INT ? number(ATTRIBUTE_INT, side / 2) : part,
    );
    return { ...field, data: messageOf(halved) };
  });
  let count = -1;
  const rebuilt = graph
    .filter((field) => field.number !== VALUE_INFO) // sizes, for who looks at it
    .map((field) => {
      if (field.number === NODE && ++count === last) return { ...field, data: messageOf(smaller) };
      if (field.number !== INITIALIZER) return field;
      const tensor = fieldsOf(field.data);
      const isMap = changed.includes(texts(tensor, TENSOR_NAME)[0]);
      return isMap ? { ...field, data: meansOf(tensor, side) } : field;
    });
  return messageOf(
    model.map((field) => (field.number === GRAPH ? { ...field, data: messageOf(rebuilt) } : field)),
  );
}
