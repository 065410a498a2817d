import { status as grpcStatus, type ServerDuplexStream } from "@grpc/grpc-js";
import { SpanKind, SpanStatusCode, type Span, type Tracer } from "@opentelemetry/api";
import type { Logger } from "pino";
import type { HandleRequest, RequestOutcome } from "../../app/handle-request.js";
import type { Clock } from "../../app/ports.js";
import type { ProcessingRequest__Output } from "../../gen/envoy/service/ext_proc/v3/ProcessingRequest.js";
import type { ProcessingResponse } from "../../gen/envoy/service/ext_proc/v3/ProcessingResponse.js";
import { armsOf } from "./decision-metadata.js";
import { factsOf, wireHeadersOf } from "./facts.js";
import { namesToStrip } from "./header-mutation.js";
import type { ExtProcMetrics } from "./metrics.js";
import { processingRequestType, processingResponseType } from "./protocol.js";
import type { LimitOf } from "./rate-limit-headers.js";
import { respond, type BodyModes } from "./respond.js";
import { safeDefault, toProcessingResponse } from "./to-processing-response.js";
import { parentContextOf } from "./trace-context.js";

export type ExtProcService = {
  readonly handle: HandleRequest;
  /** `<model>/<version>` of every version whose health check fails now. */
  readonly unhealthy: () => ReadonlySet<string>;
  readonly limitOf: LimitOf;
  /** Lower-case names outside x-weir-* that may not reach a pod, such as a policy's own override header. */
  readonly alsoStrip: () => readonly string[];
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly metrics: ExtProcMetrics;
  readonly clock: Clock;
};

type Call = ServerDuplexStream<Buffer, Buffer>;

/** One side stream; Envoy opens one per HTTP request. Its first message may be of any phase. */
type Stream = { modes: BodyModes; sawRequestHeaders: boolean; isOver: boolean };

/**
 * The life of a side stream. Its one duty: never end with OK before every message is answered,
 * because Envoy takes that for "no filter" and lets the request pass undecided, even where the
 * filter is configured to fail closed. So a bug of ours is answered with the safe default.
 */
export function makeProcess(service: ExtProcService): Process {
  const open = new Map<Call, Stream>();
  const process = (call: Call) => {
    const stream: Stream = { modes: {}, sawRequestHeaders: false, isOver: false };
    open.set(call, stream);
    service.metrics.streamOpened();
    call.on("data", (bytes: Buffer) => {
      if (!stream.isOver) onMessage(service, call, stream, bytes);
    });
    // Envoy half-closes and waits up to a second for our end. All answers are written by then.
    call.on("end", () => call.end());
    // A reset is how most Envoys say that they are done: no error, and nothing to log.
    call.on("close", () => {
      stream.isOver = true;
      open.delete(call);
      service.metrics.streamClosed();
    });
  };
  const endAnswered = () => {
    for (const [call, stream] of open) if (stream.sawRequestHeaders) call.end();
  };
  return { process, endAnswered };
}

export type Process = {
  readonly process: (call: Call) => void;
  /**
   * Ends the streams whose request is decided. Envoy 1.36 keeps them until the pod has answered,
   * and would fail such a request, decided as it is, when the connection goes.
   */
  readonly endAnswered: () => void;
};

function onMessage(service: ExtProcService, call: Call, stream: Stream, bytes: Buffer): void {
  const message = decode(bytes);
  if (message === undefined) {
    stream.isOver = true;
    service.metrics.spurious();
    const details = `${bytes.length} bytes are no ProcessingRequest; send envoy.service.ext_proc.v3`;
    call.emit("error", { code: grpcStatus.INVALID_ARGUMENT, details });
    return;
  }
  note(service, stream, message);
  for (const answer of answersTo(service, call, stream, message)) {
    if (!call.write(answer)) {
      call.pause();
      call.once("drain", () => call.resume());
    }
  }
}

function decode(bytes: Buffer): ProcessingRequest__Output | undefined {
  try {
    return processingRequestType.deserialize(bytes);
  } catch {
    // Not a message: the caller ends the stream with an error, the one thing left to say.
    return undefined;
  }
}

function note(service: ExtProcService, stream: Stream, message: ProcessingRequest__Output): void {
  service.metrics.received(message.request ?? "unknown");
  if (message.protocolConfig !== undefined) stream.modes = message.protocolConfig;
  if (message.request === "requestHeaders") {
    if (stream.sawRequestHeaders) service.metrics.spurious();
    stream.sawRequestHeaders = true;
  }
}

function answersTo(
  service: ExtProcService,
  call: Call,
  stream: Stream,
  message: ProcessingRequest__Output,
): readonly Buffer[] {
  try {
    const answers = respond(message, stream.modes, () => answerHeaders(service, call, message));
    // Envoy closes the stream on an immediate response; what it sent meanwhile needs no answer.
    stream.isOver ||= answers.some(({ immediateResponse }) => immediateResponse !== undefined);
    return answers.map(processingResponseType.serialize);
  } catch (error) {
    service.metrics.failed();
    service.logger.error(
      { err: error, kind: message.request },
      "ext_proc answered the safe default",
    );
    stream.isOver = false;
    const answers = respond(message, stream.modes, () =>
      safeDefault(namesToStrip(wireHeadersOf(message), [])),
    );
    return answers.map(processingResponseType.serialize);
  }
}

function answerHeaders(
  service: ExtProcService,
  call: Call,
  message: ProcessingRequest__Output,
): ProcessingResponse {
  const startedMs = service.clock.monotonicMs();
  const headers = wireHeadersOf(message);
  const facts = factsOf(message, headers, service.unhealthy());
  const outcome = inSpan(service.tracer, parentContextOf(call.metadata, facts.headers), () =>
    service.handle(facts),
  );
  const response = toProcessingResponse(outcome, {
    strip: namesToStrip(headers, service.alsoStrip()),
    limitOf: service.limitOf,
    onHeaderDropped: (name) => {
      service.metrics.headerDropped(name);
      service.logger.warn({ header: name }, "header left out: Envoy would refuse its value");
    },
  });
  service.metrics.answered((service.clock.monotonicMs() - startedMs) / 1000);
  return response;
}

function inSpan(
  tracer: Tracer,
  parent: ReturnType<typeof parentContextOf>,
  handle: () => RequestOutcome,
): RequestOutcome {
  const span = tracer.startSpan("weir.decide", { kind: SpanKind.SERVER }, parent);
  try {
    const outcome = handle();
    describe(span, outcome);
    return outcome;
  } catch (error) {
    span.setStatus({ code: SpanStatusCode.ERROR });
    throw error;
  } finally {
    span.end();
  }
}

/** No unit ids and no header values: traces are read by more people than assignment logs. */
function describe(span: Span, outcome: RequestOutcome): void {
  span.setAttribute("weir.outcome", outcome.kind);
  if (outcome.kind === "passThrough" || !span.isRecording()) return;
  const { decision, id } = outcome;
  span.setAttributes({
    "weir.decision": id,
    "weir.model": decision.model,
    "weir.version": decision.version,
    "weir.arms": armsOf(decision) ?? "",
    "weir.policy": decision.policy,
  });
}
