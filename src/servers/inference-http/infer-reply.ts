import type { ModelOutput } from "../../app/model-ports.js";
import { tensorBytes } from "../../app/tensor-bytes.js";
import type { ModelSpec } from "../../core/serving/model-spec.js";
import type { ReplyForm } from "./infer-request.js";
import { tensorJson } from "./tensor-json.js";

export type InferReply = {
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array;
};

/** The answer of …/infer: JSON, followed by the tensors that were asked for in binary. */
export function writeInferReply(
  spec: ModelSpec,
  outputs: ModelOutput,
  form: ReplyForm,
): InferReply {
  const binary: Uint8Array[] = [];
  const written = [...outputs].map(([name, tensor]) => {
    const { datatype, shape } = tensor;
    const head = `{"name":${JSON.stringify(name)},"datatype":"${datatype}","shape":[${shape.join(",")}]`;
    if (!form.isBinary(name)) return `${head},"data":${tensorJson(name, tensor)}}`;
    const bytes = tensorBytes(tensor);
    binary.push(bytes);
    return `${head},"parameters":{"binary_data_size":${bytes.byteLength}}}`;
  });
  const model = { model_name: spec.name, model_version: spec.version };
  const id = form.id === undefined ? {} : { id: form.id };
  const facts = JSON.stringify({ ...model, ...id }).slice(0, -1);
  const json = `${facts},"outputs":[${written.join(",")}]}`;
  if (binary.length === 0) return { headers: { "content-type": "application/json" }, body: json };
  return {
    headers: {
      "content-type": "application/octet-stream",
      "inference-header-content-length": String(Buffer.byteLength(json)),
    },
    body: Buffer.concat([Buffer.from(json), ...binary]),
  };
}
