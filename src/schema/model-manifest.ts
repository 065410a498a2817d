import { z } from "zod";
import { shown } from "./shape-issues.js";
import { API_VERSION } from "./policy.js";
import { VersionName } from "./values.js";

/** Open Inference Protocol datatypes that a model in this server can take or give. */
export const DATATYPES = [
  "BOOL",
  "UINT8",
  "UINT16",
  "UINT32",
  "UINT64",
  "INT8",
  "INT16",
  "INT32",
  "INT64",
  "FP16",
  "FP32",
  "FP64",
  "BYTES",
] as const;
export type Datatype = (typeof DATATYPES)[number];

export const EXECUTION_PROVIDERS = ["cpu", "cuda", "webgpu"] as const;
export type ExecutionProvider = (typeof EXECUTION_PROVIDERS)[number];

const TensorDeclaration = z
  .strictObject({
    name: z.string().min(1).meta({ description: "As the model file names it." }),
    datatype: z.enum(DATATYPES).meta({ description: "Open Inference Protocol datatype." }),
    shape: z
      .array(z.int().min(-1))
      .meta({ description: "Sizes of the axes; -1 is any. It must fit what the model file says." }),
  })
  .meta({ description: "An input or output of the model." });

const CodeFile = z.string().regex(/^[^/\\]+\.m?js$/, {
  error: ({ input }) =>
    `${shown(input)} must name a .js file in the model's folder, without a path`,
});

const PipelineFile = CodeFile.meta({
  description:
    "Module in the model's folder that exports preprocess and postprocess, so that the model can be called with a plain body. It is code: it runs with the rights of this process.",
});

const ManifestVersion = z
  .strictObject({
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/, { error: "sha256 must be 64 lower-case hexadecimal digits" })
      .optional()
      .meta({ description: "Checksum of model.onnx; a file that differs is not served." }),
    pipeline: PipelineFile.optional(),
    labels: z.array(z.string()).optional().meta({ description: "Replaces the model's labels." }),
    signature: z
      .base64({ error: "signature must be base64, of the 64 bytes of an Ed25519 signature" })
      .length(88, { error: "signature must be base64, of the 64 bytes of an Ed25519 signature" })
      .optional()
      .meta({
        description:
          "Ed25519 signature over the SHA-256 (32 bytes) of model.onnx; checked with `--model-key`.",
      }),
  })
  .meta({ description: "What differs between versions." });

const VersionLabel = z.string().regex(/^[a-z][a-z0-9._-]{0,62}$/, {
  error: ({ input }) =>
    `version label ${JSON.stringify(input)} must match [a-z][a-z0-9._-]*, at most 63 characters`,
});

const PaddedAxis = z.strictObject({
  name: z.string().min(1).meta({ description: "Of the input, or output." }),
  axis: z.int().min(1).max(16).meta({ description: "Not 0: that is the batch." }),
});

const Padding = z
  .strictObject({
    inputs: z
      .array(
        PaddedAxis.extend({
          value: z.number().default(0).meta({ description: "What is put behind; BYTES: empty." }),
        }),
      )
      .min(1)
      .meta({ description: "Axes that may be lengthened. A mask is an input that gets zeros." }),
    outputs: z.array(PaddedAxis).default([]).meta({
      description:
        "Axes that grow with the padding: they are cut in the proportion by which the first of `inputs` was lengthened, rounded up.",
    }),
    maxShare: z.number().min(0).max(0.9).default(0.25).meta({
      description: "Share of a batch that may be padding.",
    }),
  })
  .meta({
    description:
      "Lets requests of different lengths share a batch. Only for models whose answer does not depend on what is put behind an input.",
  });
export type Padding = z.infer<typeof Padding>;

const ResponseCache = z
  .strictObject({
    maxBytes: z
      .int()
      .min(1024)
      .max(2 ** 40)
      .default(64 * 2 ** 20)
      .meta({ description: "Memory of the answers of each version; the last used ones stay." }),
  })
  .meta({
    description:
      "Answers are kept, and requests with the same inputs get them without a run; those that are under way together are run once. Only for models that give the same answer to the same inputs. Default: none are kept.",
  });
export type ResponseCache = z.infer<typeof ResponseCache>;

const SequenceState = z.strictObject({
  input: z.string().min(1).meta({ description: "Input that gets the state." }),
  output: z.string().min(1).meta({ description: "Output that is the next state." }),
  shape: z.array(z.int().min(0)).optional().meta({
    description: "Of the zeros that a sequence begins with. Default: the input's, with 1 for -1.",
  }),
});

const Sequence = z
  .strictObject({
    states: z.array(SequenceState).min(1).meta({
      description: "What is kept from one request of a sequence to the next; callers don't see it.",
    }),
    maxIdleMs: z.int().min(1).max(86_400_000).default(60_000).meta({
      description: "A sequence without a request for so long is forgotten.",
    }),
    maxSequences: z.int().min(1).max(1_000_000).default(10_000).meta({
      description: "Sequences that are open together; more are refused with 503.",
    }),
  })
  .meta({
    description:
      "The model keeps state: each request belongs to a sequence (sequence_id, sequence_start, sequence_end), whose requests run one after the other.",
  });
export type Sequence = z.infer<typeof Sequence>;

const EnsembleStep = z.strictObject({
  model: z.string().min(1).meta({ description: "Name of a model in this repository." }),
  version: z.string().min(1).optional().meta({
    description: "A version of it, or a label of one. Default: the model's default version.",
  }),
  inputs: z.record(z.string(), z.string().min(1)).meta({
    description: "By input of the model: the tensor of the ensemble that it gets.",
  }),
  outputs: z.record(z.string(), z.string().min(1)).meta({
    description: "By output of the model: the tensor of the ensemble that it is.",
  }),
});
export type EnsembleStep = z.infer<typeof EnsembleStep>;

const Ensemble = z
  .strictObject({
    steps: z.array(EnsembleStep).min(1).max(64).meta({
      description: "In any order: each runs as soon as its tensors are there.",
    }),
  })
  .meta({
    description:
      "Instead of a model file: a graph of models, which callers call as one. `inputs` and `outputs` say what it takes and gives.",
  });

export const ModelManifest = z
  .strictObject({
    apiVersion: z.literal(API_VERSION).meta({ description: "Version of this format." }),
    kind: z.literal("Model").meta({ description: "What this document is." }),
    defaultVersion: VersionName.optional().meta({
      description: "Version of a request that names none. Default: the highest integer.",
    }),
    versionLabels: z.record(VersionLabel, VersionName).default({}).meta({
      description:
        "Other names of versions, such as `stable: v1`, that callers may put where a version goes.",
    }),
    versions: z
      .record(z.string(), ManifestVersion)
      .default({})
      .meta({ description: "By name of the version's folder. A version need not be listed." }),
    inputs: z.array(TensorDeclaration).min(1).optional().meta({
      description: "Default: what the model file says.",
    }),
    outputs: z.array(TensorDeclaration).min(1).optional().meta({
      description: "Default: what the model file says.",
    }),
    maxBatchSize: z.int().min(1).max(4096).default(1).meta({
      description:
        "Items in one run. Over 1: the first axis of every input and output is the batch, and requests that wait together are run together.",
    }),
    sloMs: z.number().positive().max(3_600_000).optional().meta({
      description:
        "Deadline of every request, from its arrival; a caller may ask for less. Requests that would be late are refused at once, and batches are no larger than it allows. Default: none.",
    }),
    maxQueueDelayMs: z.number().min(0).max(60_000).default(5).meta({
      description:
        "At most so long does a request wait for others while an instance is idle, and only when the wait pays; 0: never.",
    }),
    maxQueued: z.int().min(1).max(1_000_000).default(512).meta({
      description: "Items that may wait; more are refused with 503.",
    }),
    padding: Padding.optional(),
    coalesce: z.boolean().default(false).meta({
      description:
        "Requests with the same inputs that are under way together are run once. Only for models that give the same answer to the same inputs.",
    }),
    responseCache: ResponseCache.optional(),
    sequence: Sequence.optional(),
    ensemble: Ensemble.optional(),
    program: CodeFile.optional().meta({
      description:
        "Instead of a model file: a module in the model's folder that exports run, tensors in and tensors out, such as a step of an ensemble. It is code: it runs with the rights of this process. `inputs` and `outputs` say what it takes and gives.",
    }),
    instances: z.int().min(1).max(64).default(1).meta({
      description: "Sessions per version: each has its own thread and copy of the weights.",
    }),
    maxRunMs: z.int().min(1).max(3_600_000).default(60_000).meta({
      description:
        "A run that takes longer is given up: its requests get 503, and the instance is replaced.",
    }),
    intraOpThreads: z.int().min(1).max(256).optional().meta({
      description:
        "Threads that compute one run. Default: the cores that the container may use, divided by the instances.",
    }),
    executionProviders: z
      .array(
        z.enum(EXECUTION_PROVIDERS, {
          error: ({ input }) =>
            `execution provider ${shown(input)} is not one of ${EXECUTION_PROVIDERS.join(", ")}`,
        }),
      )
      .min(1)
      .optional()
      .meta({
        description:
          "In order of preference: what one lacks goes to the next. One that cannot start is a failed load. Default: `--execution-providers`.",
      }),
    warmUp: z
      .strictObject({
        runs: z.int().min(0).max(1000).default(2).meta({
          description:
            "Runs with zeros of each batch size (1, 2, 4, … and the largest), from which the batcher learns what they cost; 0: none.",
        }),
        shapes: z
          .record(z.string(), z.array(z.int().min(0)).min(1))
          .default({})
          .meta({
            description: "Shape of one item by input; default: the input's, with 1 for -1.",
          }),
      })
      .prefault({})
      .meta({ description: "What is run before the version counts as ready." }),
    pipeline: PipelineFile.optional(),
    labels: z.array(z.string()).default([]).meta({
      description:
        "Names of the classes, by index: for the classification extension and the pipeline.",
    }),
  })
  .superRefine((manifest, context) => {
    for (const [path, message] of contradictions(manifest)) {
      context.addIssue({ code: "custom", path: [...path], message });
    }
  })
  .meta({ title: "Model", description: "How the versions of one model are served." });
export type ModelManifest = z.infer<typeof ModelManifest>;

type Contradiction = readonly [path: readonly string[], message: string];

/** Settings that exclude each other, or need another. */
function contradictions(manifest: ModelManifest): readonly Contradiction[] {
  const { sequence, ensemble, program, versions } = manifest;
  const found: Contradiction[] = [];
  const refuse = (message: string, keys: readonly (keyof ModelManifest)[]) => {
    for (const key of keys) {
      if (manifest[key] === undefined || manifest[key] === false) continue;
      found.push([[key], `${message}: leave ${key} out`]);
    }
    for (const [version, { pipeline }] of Object.entries(versions)) {
      if (pipeline === undefined) continue;
      found.push([["versions", version, "pipeline"], `${message}: leave pipeline out`]);
    }
  };
  if (sequence !== undefined) {
    refuse("a model with sequence answers by its state, and takes tensors", [
      ...(["coalesce", "responseCache", "pipeline"] as const),
    ]);
  }
  if (ensemble !== undefined) {
    refuse("an ensemble runs other models, and takes tensors", [
      ...(["sequence", "pipeline", "program", "padding"] as const),
      ...(["executionProviders", "intraOpThreads"] as const),
    ]);
  }
  if (program !== undefined) {
    refuse("a program takes tensors, and has no session", [
      ...(["pipeline", "executionProviders", "intraOpThreads"] as const),
    ]);
  }
  const kind = ensemble === undefined ? "program" : "ensemble";
  for (const key of ["inputs", "outputs"] as const) {
    if (manifest[kind] === undefined || manifest[key] !== undefined) continue;
    found.push([[kind], `${kind} has no model file that tells its ${key}: add ${key}`]);
  }
  return found;
}
