import { ServiceError } from "../core/error.js";
import { elementBytes, elementCount, numericView } from "../core/serving/tensor.js";
import type { Tensor } from "../core/serving/tensor.js";
import type { Datatype } from "../schema/model-manifest.js";

/**
 * The Open Inference Protocol's raw form of a tensor, for binary HTTP tensors and gRPC
 * raw_input_contents: little-endian, row-major, BYTES elements after their length in 4 bytes.
 */
export function tensorBytes({ datatype, data }: Tensor): Uint8Array {
  if (datatype !== "BYTES") {
    const { buffer, byteOffset, byteLength } = data as Uint8Array;
    return new Uint8Array(buffer, byteOffset, byteLength);
  }
  return Buffer.concat(
    (data as readonly string[]).flatMap((element) => {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(Buffer.byteLength(element));
      return [length, Buffer.from(element)];
    }),
  );
}

/** The inverse of tensorBytes. The tensor owns its memory: `bytes` may be part of a larger body. */
export function tensorFromBytes(
  name: string,
  datatype: Datatype,
  shape: readonly number[],
  bytes: Uint8Array,
): Tensor {
  if (datatype === "BYTES") return { datatype, shape, data: stringsOf(name, shape, bytes) };
  const wanted = elementCount(shape) * (elementBytes(datatype) ?? 1);
  if (bytes.byteLength !== wanted) {
    const message = `input ${name} has ${bytes.byteLength} bytes of data, shape [${shape.join(",")}] of ${datatype} needs ${wanted}`;
    throw new ServiceError("badRequest", message);
  }
  if (datatype === "BOOL" && bytes.some((byte) => byte > 1)) {
    throw new ServiceError("badRequest", `input ${name} is BOOL: its bytes must be 0 or 1`);
  }
  const own = new ArrayBuffer(wanted);
  new Uint8Array(own).set(bytes);
  return { datatype, shape, data: numericView(datatype, own) };
}

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The runtime holds strings as text and cuts them at NUL: what would not survive is refused. */
export function textOf(name: string, bytes: Uint8Array): string {
  let text: string;
  try {
    text = strictUtf8.decode(bytes);
  } catch (cause) {
    const message = `input ${name}: a BYTES element is not valid UTF-8, which this server needs`;
    throw new ServiceError("badRequest", message, { cause });
  }
  checkText(name, text);
  return text;
}

/**
 * The text of bytes that mean themselves in UTF-8 and in JSON: most BYTES there are, and decoders
 * cost more than they do.
 */
export function plainText(bytes: Buffer, start: number, end: number): string | undefined {
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at] ?? 0;
    if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return undefined;
  }
  return start === end ? "" : bytes.toString("latin1", start, end);
}

const BACKSLASH = 0x5c;

export function checkText(name: string, text: string): void {
  if (text.includes("\0")) {
    const message = `input ${name}: a BYTES element has a NUL character, which ONNX Runtime for Node.js cannot carry`;
    throw new ServiceError("badRequest", message);
  }
  if (/\p{Surrogate}/u.test(text)) {
    throw new ServiceError("badRequest", `input ${name}: a BYTES element is not valid Unicode`);
  }
}

function stringsOf(name: string, shape: readonly number[], bytes: Uint8Array): readonly string[] {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const elements: string[] = [];
  const wanted = elementCount(shape);
  let offset = 0;
  while (offset < view.length && elements.length <= wanted) {
    const end = offset + 4 <= view.length ? offset + 4 + view.readUInt32LE(offset) : Infinity;
    if (end > view.length) {
      const message = `input ${name}: BYTES element ${elements.length} ends after the data; each element is its length in 4 little-endian bytes, then its bytes`;
      throw new ServiceError("badRequest", message);
    }
    const start = offset + 4;
    elements.push(plainText(view, start, end) ?? textOf(name, view.subarray(start, end)));
    offset = end;
  }
  if (elements.length !== wanted) {
    const has = elements.length > wanted ? `more than ${wanted}` : elements.length;
    const message = `input ${name} has ${has} BYTES elements, shape [${shape.join(",")}] needs ${wanted}`;
    throw new ServiceError("badRequest", message);
  }
  return elements;
}
