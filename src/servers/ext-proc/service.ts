import { status as grpcStatus } from "@grpc/grpc-js";
import { SpanKind, SpanStatusCode, type Span, type Tracer } from "@opentelemetry/api";
import type { Logger } from "pino";
import type { HandleRequest, RequestOutcome } from "../../app/handle-request.js";
import type { Clock } from "../../app/ports.js";
import type { Answer } from "./answer.js";
import { armsOf } from "./decision-metadata.js";
import { factsOf } from "./facts.js";
import { namesToStrip } from "./header-mutation.js";
import type { ExtProcMetrics } from "./metrics.js";
import { OpenList, type Listed } from "./open-list.js";
import type { LimitOf } from "./rate-limit-headers.js";
import { respond, type BodyModes } from "./respond.js";
import type { AcceptStream, ServerStream, StreamListener } from "../grpc/stream.js";
import { safeDefault, toAnswer } from "./to-answer.js";
import { parentContextOf } from "./trace-context.js";
import { readRequest, type ReadRequest } from "./wire/read-request.js";
import { writeAnswer } from "./wire/write-answer.js";

export type ExtProcService = {
  readonly handle: HandleRequest;
  /** `<model>/<version>` of every version whose health check fails now. */
  readonly unhealthy: () => ReadonlySet<string>;
  readonly limitOf: LimitOf;
  /** Lower-case names outside x-weir-* that may not reach a pod, such as a policy's own override header. */
  readonly alsoStrip: () => readonly string[];
  /** A stream was opened (1), or was decided or closed without (-1). */
  readonly undecided: (change: 1 | -1) => void;
  readonly logger: Logger;
  readonly tracer: Tracer;
  readonly metrics: ExtProcMetrics;
  readonly clock: Clock;
};

/**
 * Streams of the external processor. Their one duty: never end with OK before every message is
 * answered, because Envoy takes that for "no filter" and lets the request pass undecided, even where
 * the filter is configured to fail closed. So a bug of ours is answered with the safe default.
 */
export function makeProcess(service: ExtProcService): Process {
  const open = new OpenList<ProcessStream>();
  return {
    accept: (stream) => new ProcessStream(service, stream, open),
    endAnswered: () => {
      for (const stream of open.values()) stream.endAnswered();
    },
  };
}

export type Process = {
  readonly accept: AcceptStream;
  /**
   * Ends the streams whose request is decided. Envoy 1.36 keeps them until the pod has answered,
   * and would fail such a request, decided as it is, when the connection goes.
   */
  readonly endAnswered: () => void;
};

/** One side stream; Envoy opens one per HTTP request. Its first message may be of any phase. */
class ProcessStream implements StreamListener, Listed {
  readonly #service: ExtProcService;
  readonly #stream: ServerStream;
  readonly #open: OpenList<ProcessStream>;
  at = 0;
  #modes: BodyModes = NO_MODES;
  #sawRequestHeaders = false;
  #isOver = false;

  constructor(service: ExtProcService, stream: ServerStream, open: OpenList<ProcessStream>) {
    this.#service = service;
    this.#stream = stream;
    this.#open = open;
    open.add(this);
    service.metrics.streamOpened();
    service.undecided(1);
  }

  message(bytes: Buffer): void {
    if (this.#isOver) return;
    const request = readRequest(bytes);
    if (request === undefined) {
      this.#isOver = true;
      this.#service.metrics.spurious();
      const details = `${bytes.length} bytes are no ProcessingRequest; send envoy.service.ext_proc.v3`;
      this.#stream.fail(grpcStatus.INVALID_ARGUMENT, details);
      return;
    }
    this.#note(request);
    for (const answer of this.#answersTo(request)) this.#stream.send(answer);
  }

  /** Envoy half-closes and waits up to a second for our end. All answers are written by then. */
  halfClosed(): void {
    this.#stream.end();
  }

  /** A reset is how most Envoys say that they are done: no error, and nothing to log. */
  closed(): void {
    this.#isOver = true;
    this.#open.delete(this);
    this.#service.metrics.streamClosed();
    if (!this.#sawRequestHeaders) this.#service.undecided(-1);
  }

  endAnswered(): void {
    if (this.#sawRequestHeaders) this.#stream.end();
  }

  #note({ kind, modes }: ReadRequest): void {
    const { metrics } = this.#service;
    metrics.received(kind);
    if (modes !== undefined) this.#modes = modes;
    if (kind === "requestHeaders") {
      if (this.#sawRequestHeaders) metrics.spurious();
      else this.#service.undecided(-1);
      this.#sawRequestHeaders = true;
    }
  }

  #answersTo(request: ReadRequest): readonly Buffer[] {
    const { metrics, logger } = this.#service;
    try {
      const answers = respond(request, this.#modes, () => this.#answerHeaders(request));
      const written = answers.map(writeAnswer);
      // Envoy closes the stream on an immediate response; what it sent meanwhile needs no answer.
      this.#isOver ||= answers.some((answer) => "immediateResponse" in answer);
      return written;
    } catch (error) {
      metrics.failed();
      logger.error({ err: error, kind: request.kind }, "ext_proc answered the safe default");
      const strip = namesToStrip(request.headers, []);
      return respond(request, this.#modes, () => safeDefault(strip)).map(writeAnswer);
    }
  }

  #answerHeaders(request: ReadRequest): Answer {
    const { clock, metrics, logger, tracer, handle, limitOf } = this.#service;
    const startedMs = clock.monotonicMs();
    const facts = factsOf(request, this.#service.unhealthy());
    const parent = parentContextOf(this.#stream.metadata, request.headers);
    const outcome = inSpan(tracer, parent, () => handle(facts));
    const answer = toAnswer(outcome, {
      strip: namesToStrip(request.headers, this.#service.alsoStrip()),
      limitOf,
      onHeaderDropped: (name) => {
        metrics.headerDropped(name);
        logger.warn({ header: name }, "header left out: Envoy would refuse its value");
      },
    });
    metrics.answered((clock.monotonicMs() - startedMs) / 1000);
    return answer;
  }
}

const NO_MODES: BodyModes = {};

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
  const { decision } = outcome;
  span.setAttributes({
    ...("id" in outcome ? { "weir.decision": outcome.id } : {}),
    "weir.model": decision.model,
    "weir.version": decision.version,
    "weir.arms": armsOf(decision) ?? "",
    "weir.policy": decision.policy,
  });
}
