import type { ModelOutput } from "../../app/model-ports.js";
import { tensorBytes } from "../../app/tensor-bytes.js";
import type { Tensor } from "../../core/serving/tensor.js";
import { writeContents } from "./tensor-contents.js";
import { WireWriter } from "./wire-writer.js";

export type InferResponse = {
  readonly model: string;
  readonly version: string;
  readonly id: string;
  readonly outputs: ModelOutput;
  /** True: raw_output_contents, as the inputs were raw. */
  readonly raw: boolean;
};

/** For names, shapes and the like. */
const HEAD_BYTES = 512;

/** A ModelInferResponse. */
export function encodeInferResponse(response: InferResponse): Buffer {
  const raws = rawOutputs(response);
  const writer = new WireWriter(expectedBytes(response, raws));
  writeInferResponse(writer, response, raws);
  return writer.finish();
}

/** A ModelStreamInferResponse; a request has one answer, so every answer is the final one. */
export function encodeStreamResponse(response: InferResponse, errorMessage = ""): Buffer {
  const raws = rawOutputs(response);
  const writer = new WireWriter(expectedBytes(response, raws));
  if (errorMessage !== "") writer.string(1, errorMessage);
  writer.nested(2, () => {
    writeInferResponse(writer, response, raws);
    writer.nested(4, () => {
      writer.string(1, "triton_final_response");
      writer.nested(2, () => {
        writer.bool(1, true);
      });
    });
  });
  return writer.finish();
}

function writeInferResponse(
  writer: WireWriter,
  { model, version, id, outputs }: InferResponse,
  raws: readonly Uint8Array[] | undefined,
): void {
  writer.string(1, model);
  writer.string(2, version);
  if (id !== "") writer.string(3, id);
  for (const [name, tensor] of outputs) {
    writer.nested(5, () => {
      writeOutput(writer, name, tensor, raws === undefined);
    });
  }
  for (const raw of raws ?? []) writer.bytes(6, raw);
}

function writeOutput(writer: WireWriter, name: string, tensor: Tensor, withContents: boolean) {
  writer.string(1, name);
  writer.string(2, tensor.datatype);
  writer.nested(3, () => {
    for (const size of tensor.shape) writer.varint(size % 2 ** 32, Math.floor(size / 2 ** 32));
  });
  if (!withContents) return;
  writer.nested(5, () => {
    writeContents(writer, tensor);
  });
}

/** All or none of the outputs are raw; FP16 has no other form. */
function rawOutputs({ outputs, raw }: InferResponse): readonly Uint8Array[] | undefined {
  const tensors = [...outputs.values()];
  const isRaw = raw || tensors.some(({ datatype }) => datatype === "FP16");
  return isRaw ? tensors.map(tensorBytes) : undefined;
}

function expectedBytes({ outputs }: InferResponse, raws: readonly Uint8Array[] | undefined) {
  const sizes = raws?.map(({ length }) => length) ?? [...outputs.values()].map(contentsBytes);
  return sizes.reduce((sum, size) => sum + size + 16, HEAD_BYTES);
}

const contentsBytes = ({ data }: Tensor) => ("byteLength" in data ? data.byteLength : data.length);
