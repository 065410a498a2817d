import {
  Client,
  credentials,
  Metadata,
  type ClientDuplexStream,
  type StatusObject,
} from "@grpc/grpc-js";
import type { ProcessingRequest } from "../../src/gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import type { ProcessingResponse__Output } from "../../src/gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import {
  EXT_PROC_SERVICE,
  processingRequestType,
  processingResponseType,
} from "../../src/servers/ext-proc/protocol.js";

const DEADLINE_MS = 10_000;

/** One side stream as Envoy would hold it. Messages may be objects, or bytes that no object can say. */
export type ServerStream = {
  send(message: ProcessingRequest | Buffer): void;
  /** The next answer; fails when the stream ends, or is silent for ten seconds. */
  next(): Promise<ProcessingResponse__Output>;
  /** The same answer's bytes. */
  nextBytes(): Promise<Buffer>;
  /** Answers that came and were not taken. */
  waiting(): number;
  halfClose(): void;
  reset(): void;
  readonly status: Promise<StatusObject>;
};

export type ExtProcClient = {
  open(metadata?: Readonly<Record<string, string>>): ServerStream;
  /** Resets what is still open. */
  close(): void;
};

/** Each client has its own connections, as each Envoy worker has; several addresses take turns. */
export function extProcClient(address: string): ExtProcClient {
  const client = new Client(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_channelz": 0,
    "grpc.service_config": '{"loadBalancingConfig":[{"round_robin":{}}]}',
  });
  const open = new Set<ClientDuplexStream<Buffer, Buffer>>();
  return {
    open: (metadata = {}) => {
      const fields = new Metadata();
      for (const [key, value] of Object.entries(metadata)) fields.set(key, value);
      const asTheyAre = (bytes: Buffer) => bytes;
      const path = `/${EXT_PROC_SERVICE}/Process`;
      const call = client.makeBidiStreamRequest(path, asTheyAre, asTheyAre, fields);
      open.add(call);
      call.once("status", () => open.delete(call));
      return sideStream(call);
    },
    close: () => {
      for (const call of open) call.cancel();
      client.close();
    },
  };
}

function sideStream(call: ClientDuplexStream<Buffer, Buffer>): ServerStream {
  const answers: Buffer[] = [];
  let wake: () => void = () => undefined;
  let ended: StatusObject | undefined;
  call.on("data", (bytes: Buffer) => {
    answers.push(bytes);
    wake();
  });
  call.on("error", () => undefined);
  const status = new Promise<StatusObject>((resolve) => {
    call.once("status", (object: StatusObject) => {
      ended = object;
      wake();
      resolve(object);
    });
  });
  const nextBytes = async (): Promise<Buffer> => {
    const deadline = setTimeout(() => {
      call.cancel();
    }, DEADLINE_MS);
    while (answers.length === 0) {
      if (ended !== undefined) break;
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    clearTimeout(deadline);
    const bytes = answers.shift();
    if (bytes !== undefined) return bytes;
    throw new Error(`the stream ended without an answer: ${ended?.code} ${ended?.details}`);
  };
  return {
    send: (message) => {
      call.write(Buffer.isBuffer(message) ? message : processingRequestType.serialize(message));
    },
    next: async () => processingResponseType.deserialize(await nextBytes()),
    nextBytes,
    waiting: () => answers.length,
    halfClose: () => {
      call.end();
    },
    reset: () => {
      call.cancel();
    },
    status,
  };
}

type Headers = readonly (readonly [name: string, value: string | Buffer])[];

/** A first message as Envoy sends it: pseudo-headers, raw values, lower-case names. */
export function requestHeaders(
  headers: Headers = [],
  rest: ProcessingRequest = {},
): ProcessingRequest {
  const all: Headers = [
    [":method", "POST"],
    [":path", "/v2/models/magika/infer"],
    [":authority", "models.example"],
    ...headers,
  ];
  return {
    ...rest,
    requestHeaders: {
      headers: { headers: all.map(([key, value]) => ({ key, rawValue: Buffer.from(value) })) },
    },
  };
}

export type Mutation = {
  readonly set: Readonly<Record<string, string>>;
  readonly removed: readonly string[];
  readonly clearRouteCache: boolean;
};

/** The header mutation of an answer to request headers, in plain values. */
export function mutationOf(answer: ProcessingResponse__Output): Mutation {
  const common = answer.requestHeaders?.response;
  const set = (common?.headerMutation?.setHeaders ?? []).map(
    ({ header }) => [header?.key ?? "", header?.rawValue?.toString() ?? ""] as const,
  );
  return {
    set: Object.fromEntries(set),
    removed: common?.headerMutation?.removeHeaders ?? [],
    clearRouteCache: common?.clearRouteCache ?? false,
  };
}

/** The id that the answer gives its decision; undefined when it gives none. */
export const decisionOf = (answer: ProcessingResponse__Output) =>
  mutationOf(answer).set["x-weir-decision"];
