import { pathToFileURL } from "node:url";
import { ServiceError } from "../../core/error.js";
import { elementCount, isDatatype } from "../../core/serving/tensor.js";
import type { Tensor } from "../../core/serving/tensor.js";

/** What pipeline.js gets beside the tensors and the body. */
export type PipelineContext = {
  readonly model: string;
  readonly version: string;
  /** Folder of the version: files beside model.onnx belong to the pipeline. */
  readonly versionDirectory: string;
  readonly labels: readonly string[];
};

export type NamedTensors = Readonly<Record<string, Tensor>>;

/** The module that a model.yaml names as `pipeline`. It runs in the worker of the session. */
type PipelineModule = {
  /** The body of one request in, the model's inputs for one item out. */
  preprocess(body: Uint8Array, context: PipelineContext): NamedTensors | Promise<NamedTensors>;
  /** The model's outputs for that item in, the answer out. Absent: the outputs are the answer. */
  postprocess?(
    outputs: NamedTensors,
    body: Uint8Array,
    context: PipelineContext,
  ): NamedTensors | Promise<NamedTensors>;
};

export type Pipeline = {
  before(body: Uint8Array): Promise<ReadonlyMap<string, Tensor>>;
  after(
    outputs: ReadonlyMap<string, Tensor>,
    body: Uint8Array,
  ): Promise<ReadonlyMap<string, Tensor>>;
};

export async function loadPipeline(file: string, context: PipelineContext): Promise<Pipeline> {
  const module = (await import(pathToFileURL(file).href)) as Partial<PipelineModule>;
  const { preprocess, postprocess } = module;
  if (typeof preprocess !== "function") throw new Error(`${file} exports no function preprocess`);
  return {
    before: async (body) => {
      const inputs = await blame("badRequest", failed("preprocess"), () =>
        preprocess(body, context),
      );
      return checkedTensors(file, "preprocess", inputs);
    },
    after: async (outputs, body) => {
      if (postprocess === undefined) return outputs;
      const named = Object.fromEntries(outputs);
      const answer = await blame("internal", failed("postprocess"), () =>
        postprocess(named, body, context),
      );
      return checkedTensors(file, "postprocess", answer);
    },
  };
}

const failed = (step: string) => `${step} of the model's pipeline failed`;

/** A body that preprocess cannot take is the caller's; whatever else fails is the model's. */
export async function blame<Result>(
  code: "badRequest" | "internal",
  what: string,
  run: () => Result | Promise<Result>,
): Promise<Result> {
  try {
    return await run();
  } catch (cause) {
    const because = cause instanceof Error ? cause.message : String(cause);
    throw new ServiceError(code, `${what}: ${because}`, { cause });
  }
}

/** Code of a model is plain JavaScript: no compiler has looked at what it returns. */
export function checkedTensors(
  file: string,
  step: string,
  value: unknown,
): ReadonlyMap<string, Tensor> {
  const entries = Object.entries((value ?? {}) as Record<string, Partial<Tensor> | undefined>);
  for (const [name, tensor] of entries) {
    const { datatype, shape, data } = tensor ?? {};
    const fits = Array.isArray(shape) && data?.length === elementCount(shape);
    if (isDatatype(datatype) && fits) continue;
    const message = `${step} of ${file} must return tensors by name; ${name} is no { datatype, shape, data } of that shape`;
    throw new ServiceError("internal", message);
  }
  return new Map(entries as [string, Tensor][]);
}
