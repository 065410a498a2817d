import type { Socket } from "node:net";
import type { AcceptStream } from "../side-stream.js";
import { CODE, Http2Error } from "./error.js";
import { FrameReader } from "./frame-reader.js";
import { FLAG, FRAME, FrameOutput, MAX_FRAME_BYTES, MAX_WINDOW, SETTING } from "./frames.js";
import { plainStatus, refusalOf, STATUS, timeoutMsOf } from "./grpc.js";
import { FieldDecoder, type FieldBlock } from "./hpack.js";
import { areTrailers, requestHeadOf, type RequestHead } from "./request-head.js";
import { Sender } from "./sender.js";
import { GrpcStream } from "./stream.js";

/** What one connection may hold open. Every message is answered at once, so streams only wait. */
const MAX_STREAMS = 100_000;
const MAX_FIELD_BYTES = 65_536;
/** Fields over their bound cost their stream, a block over this one the connection. */
const MAX_BLOCK_BYTES = 4 * MAX_FIELD_BYTES;
const STREAM_WINDOW = 1024 * 1024;
const CONNECTION_WINDOW = 16 * 1024 * 1024;
const FIRST_CONNECTION_WINDOW = 65_535;
/** Beyond it a peer is not read until it reads: it could ask for answers without taking any. */
const MAX_UNSENT_BYTES = 4 * 1024 * 1024;
const SETTINGS: readonly (readonly [number, number])[] = [
  [SETTING.maxConcurrentStreams, MAX_STREAMS],
  [SETTING.initialWindowSize, STREAM_WINDOW],
  [SETTING.maxHeaderListSize, MAX_FIELD_BYTES],
];
const RETIRING = Buffer.from("retiring");
const REQUEST_HEADER_FIELDS_TOO_LARGE = 431;

/** By path. */
export type Methods = ReadonlyMap<string, AcceptStream>;

type Block = { readonly id: number; readonly isLast: boolean; parts: Buffer[]; bytes: number };

/**
 * The server's half of one HTTP/2 connection (RFC 9113) that carries gRPC streams. A mistake inside
 * of a stream ends that stream, any other ends the connection with GOAWAY and its code. Each message
 * is answered when it is read, so streams that are opened and reset at any rate leave no work behind
 * (CVE-2023-44487), and no count of resets ends a connection.
 */
export class Http2Connection {
  readonly #socket: Socket;
  readonly #methods: Methods;
  readonly #output: FrameOutput;
  readonly #sender: Sender;
  readonly #reader = new FrameReader();
  readonly #fields = new FieldDecoder(MAX_FIELD_BYTES);
  readonly #streams = new Map<number, GrpcStream>();
  #block: Block | undefined;
  #lastId = 0;
  #receiveWindow = CONNECTION_WINDOW;
  #hasSettings = false;
  #isFinishing = false;
  #onHeard: () => void = () => undefined;

  constructor(socket: Socket, methods: Methods) {
    this.#socket = socket;
    this.#methods = methods;
    this.#output = new FrameOutput(socket);
    this.#sender = new Sender(this.#output, {
      sent: (stream) => {
        this.#credit(stream);
      },
      finished: (stream) => {
        this.#close(stream);
      },
    });
    socket.on("data", (chunk: Buffer) => {
      this.#read(chunk);
    });
    socket.on("drain", () => socket.resume());
    // What a peer does to its socket ends its streams, and is no error of ours: see "close".
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#onHeard();
      for (const stream of this.#streams.values()) this.#close(stream);
    });
    this.#greet();
  }

  /** Asks the peer to open no more streams; resolves when it has read that, or is gone. */
  retire(): Promise<void> {
    return new Promise((resolve) => {
      this.#onHeard = resolve;
      if (this.#socket.destroyed) resolve();
      // The highest id: streams on their way are still served. A PING behind it comes back when
      // the peer has read both (RFC 9113, 6.8).
      this.#goaway(MAX_WINDOW, CODE.noError);
      this.#ping(RETIRING, 0);
      this.#output.settle();
    });
  }

  /** Closes behind the last stream. */
  finish(): void {
    this.#isFinishing = true;
    this.#endWhenIdle();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #greet(): void {
    this.#output.frame(6 * SETTINGS.length, FRAME.settings, 0, 0);
    for (const [setting, value] of SETTINGS) {
      this.#output.uint16(setting);
      this.#output.uint32(value);
    }
    this.#widen(0, CONNECTION_WINDOW - FIRST_CONNECTION_WINDOW);
    this.#output.settle();
  }

  #read(chunk: Buffer): void {
    this.#output.together(() => {
      try {
        this.#reader.read(chunk, this.#onFrame);
      } catch (error) {
        this.#fail(error);
      }
    });
    if (this.#socket.writableLength > MAX_UNSENT_BYTES) this.#socket.pause();
  }

  #fail(error: unknown): void {
    const code = error instanceof Http2Error ? error.code : CODE.internalError;
    this.#goaway(this.#lastId, code);
    this.#socket.removeAllListeners("data");
    this.#output.cut();
  }

  readonly #onFrame = (type: number, flags: number, id: number, payload: Buffer): void => {
    if (this.#block !== undefined && (type !== FRAME.continuation || id !== this.#block.id)) {
      throw protocolError("a header block is not continued");
    }
    if (!this.#hasSettings && type !== FRAME.settings) throw protocolError("SETTINGS come first");
    switch (type) {
      case FRAME.data:
        this.#onData(id, flags, payload);
        return;
      case FRAME.headers:
        this.#onHeaders(id, flags, payload);
        return;
      case FRAME.continuation:
        this.#onContinuation(flags, payload);
        return;
      case FRAME.rstStream:
        this.#onReset(id, payload);
        return;
      case FRAME.windowUpdate:
        this.#onWindowUpdate(id, payload);
        return;
      case FRAME.settings:
        this.#onSettings(id, flags, payload);
        return;
      case FRAME.ping:
        this.#onPing(id, flags, payload);
        return;
      case FRAME.priority:
        if (id === 0) throw protocolError("PRIORITY of no stream");
        if (payload.length !== 5) this.#refuse(id, CODE.frameSizeError);
        return;
      case FRAME.pushPromise:
        throw protocolError("a client cannot push");
      case FRAME.goaway:
        if (id !== 0) throw protocolError("GOAWAY of a stream");
        return;
      default:
        // Unknown frames are for those who know them (RFC 9113, 5.5).
        return;
    }
  };

  #onData(id: number, flags: number, payload: Buffer): void {
    this.#receiveWindow -= payload.length;
    if (this.#receiveWindow < 0) throw flowError("DATA over the connection's window");
    if (this.#receiveWindow < CONNECTION_WINDOW / 2) {
      this.#widen(0, CONNECTION_WINDOW - this.#receiveWindow);
      this.#receiveWindow = CONNECTION_WINDOW;
    }
    const data = unpadded(payload, flags);
    const stream = this.#streams.get(id);
    if (stream === undefined) {
      this.#requireKnown(id);
      return;
    }
    stream.receiveWindow -= payload.length;
    if (stream.isHalfClosed) this.#refuse(id, CODE.streamClosed);
    else if (stream.receiveWindow < 0) this.#refuse(id, CODE.flowControlError);
    else {
      this.#deliver(stream, () => {
        if (data.length > 0) stream.receive(data);
      });
      if ((flags & FLAG.endStream) !== 0) this.#halfClose(stream);
      else this.#credit(stream);
    }
  }

  #onHeaders(id: number, flags: number, payload: Buffer): void {
    if (id % 2 === 0) throw protocolError(`a client cannot open stream ${id}`);
    let fragment = unpadded(payload, flags);
    if ((flags & FLAG.priority) !== 0) {
      if (fragment.length < 5) throw frameSizeError("HEADERS too short for a priority");
      fragment = fragment.subarray(5);
    }
    const isLast = (flags & FLAG.endStream) !== 0;
    if ((flags & FLAG.endHeaders) !== 0) this.#onFields(id, isLast, fragment);
    else this.#block = { id, isLast, parts: [Buffer.from(fragment)], bytes: fragment.length };
  }

  #onContinuation(flags: number, payload: Buffer): void {
    const block = this.#block;
    if (block === undefined) throw protocolError("CONTINUATION of nothing");
    // Each part counts, or an endless block could be of empty ones (CVE-2024-27316).
    block.bytes += payload.length + 64;
    if (block.bytes > MAX_BLOCK_BYTES) {
      throw new Http2Error(CODE.enhanceYourCalm, `a header block is over ${MAX_BLOCK_BYTES} bytes`);
    }
    block.parts.push(Buffer.from(payload));
    if ((flags & FLAG.endHeaders) === 0) return;
    this.#block = undefined;
    this.#onFields(block.id, block.isLast, Buffer.concat(block.parts));
  }

  #onFields(id: number, isLast: boolean, bytes: Buffer): void {
    const block = this.#fields.decode(bytes);
    const stream = this.#streams.get(id);
    if (stream !== undefined) {
      if (stream.isHalfClosed) this.#refuse(id, CODE.streamClosed);
      else if (!isLast || !areTrailers(block.fields)) this.#refuse(id, CODE.protocolError);
      else this.#halfClose(stream);
    } else if (id <= this.#lastId) {
      this.#sender.reset(id, CODE.streamClosed);
    } else {
      this.#lastId = id;
      this.#open(id, isLast, block);
    }
  }

  #open(id: number, isLast: boolean, { fields, isTooLarge }: FieldBlock): void {
    if (isTooLarge) {
      this.#answerPlainly(id, isLast, REQUEST_HEADER_FIELDS_TOO_LARGE);
      return;
    }
    const head = requestHeadOf(fields);
    if (head === undefined) this.#sender.reset(id, CODE.protocolError);
    else if (this.#streams.size >= MAX_STREAMS) this.#sender.reset(id, CODE.refusedStream);
    else {
      const refusal = refusalOf(head);
      if (refusal !== undefined && "httpStatus" in refusal) {
        this.#answerPlainly(id, isLast, refusal.httpStatus);
      } else this.#start(id, isLast, head, refusal);
    }
  }

  #start(
    id: number,
    isLast: boolean,
    head: RequestHead,
    refusal: { readonly code: number; readonly details: string } | undefined,
  ): void {
    const windows = { send: this.#sender.streamWindow, receive: STREAM_WINDOW };
    const stream = new GrpcStream(id, head, this.#sender, windows);
    this.#streams.set(id, stream);
    const accept = this.#methods.get(head.path);
    if (refusal !== undefined) stream.fail(refusal.code, refusal.details);
    else if (accept === undefined) {
      stream.fail(STATUS.unimplemented, `there is no method ${head.path}`);
    } else {
      this.#deliver(stream, () => {
        stream.listener = accept(stream);
      });
      const timeoutMs = timeoutMsOf(head);
      if (timeoutMs !== undefined) this.#failAfter(stream, timeoutMs);
      if (isLast) this.#halfClose(stream);
    }
  }

  #failAfter(stream: GrpcStream, timeoutMs: number): void {
    stream.timer = setTimeout(() => {
      stream.fail(STATUS.deadlineExceeded, `the stream was open for ${timeoutMs} ms`);
    }, timeoutMs);
  }

  #halfClose(stream: GrpcStream): void {
    stream.isHalfClosed = true;
    this.#deliver(stream, () => {
      stream.halfClose();
    });
  }

  /** What a listener throws is a bug of ours: the stream ends with an error, never with OK. */
  #deliver(stream: GrpcStream, tell: () => void): void {
    try {
      tell();
    } catch {
      stream.fail(STATUS.internal, "internal error");
    }
  }

  /** Lets the peer send more, unless it does not take what is sent to it. */
  #credit(stream: GrpcStream): void {
    if (stream.receiveWindow >= STREAM_WINDOW / 2 || stream.queued.length > 0) return;
    if (stream.isHalfClosed || stream.ending !== undefined) return;
    this.#widen(stream.id, STREAM_WINDOW - stream.receiveWindow);
    stream.receiveWindow = STREAM_WINDOW;
  }

  #onReset(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSizeError("RST_STREAM has 4 bytes");
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#requireKnown(id);
    else this.#close(stream);
  }

  #onWindowUpdate(id: number, payload: Buffer): void {
    if (payload.length !== 4) throw frameSizeError("WINDOW_UPDATE has 4 bytes");
    const increment = payload.readUInt32BE(0) & MAX_WINDOW;
    if (id === 0) {
      if (increment === 0) throw protocolError("WINDOW_UPDATE by nothing");
      this.#sender.widen(increment);
      return;
    }
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#requireKnown(id);
    else if (increment === 0) this.#refuse(id, CODE.protocolError);
    else if (!this.#sender.widenStream(stream, increment)) this.#refuse(id, CODE.flowControlError);
  }

  #onSettings(id: number, flags: number, payload: Buffer): void {
    if (id !== 0) throw protocolError("SETTINGS of a stream");
    const isAck = (flags & FLAG.ack) !== 0;
    if (isAck ? payload.length > 0 : payload.length % 6 !== 0) throw frameSizeError("SETTINGS");
    this.#hasSettings = true;
    if (isAck) return;
    for (let at = 0; at < payload.length; at += 6) {
      this.#apply(payload.readUInt16BE(at), payload.readUInt32BE(at + 2));
    }
    this.#output.frame(0, FRAME.settings, FLAG.ack, 0);
  }

  /** The others bound what we never do: push, and use a table for the fields that we send. */
  #apply(setting: number, value: number): void {
    if (setting === SETTING.initialWindowSize) {
      if (value > MAX_WINDOW) throw flowError("a first window over 2^31-1");
      this.#sender.setStreamWindow(value, this.#streams.values());
    } else if (setting === SETTING.maxFrameSize) {
      if (value < MAX_FRAME_BYTES || value >= 2 ** 24) throw protocolError("a bad MAX_FRAME_SIZE");
      this.#sender.setMaxFrameBytes(value);
    } else if (setting === SETTING.enablePush && value > 1)
      throw protocolError("a bad ENABLE_PUSH");
  }

  #onPing(id: number, flags: number, payload: Buffer): void {
    if (id !== 0) throw protocolError("PING of a stream");
    if (payload.length !== 8) throw frameSizeError("PING has 8 bytes");
    if ((flags & FLAG.ack) === 0) this.#ping(payload, FLAG.ack);
    else if (payload.equals(RETIRING)) this.#onHeard();
  }

  #ping(payload: Buffer, flags: number): void {
    this.#output.frame(payload.length, FRAME.ping, flags, 0);
    this.#output.payload(payload);
  }

  #goaway(lastId: number, code: number): void {
    this.#output.frame(8, FRAME.goaway, 0, 0);
    this.#output.uint32(lastId);
    this.#output.uint32(code);
  }

  #widen(id: number, increment: number): void {
    this.#output.frame(4, FRAME.windowUpdate, 0, id);
    this.#output.uint32(increment);
  }

  /** An HTTP answer without a body, for what is no gRPC. */
  #answerPlainly(id: number, isLast: boolean, httpStatus: number): void {
    const block = plainStatus(httpStatus);
    this.#output.frame(block.length, FRAME.headers, FLAG.endHeaders | FLAG.endStream, id);
    this.#output.payload(block);
    if (!isLast) this.#sender.reset(id, CODE.noError);
  }

  /** Ends a stream for a mistake that is its own. */
  #refuse(id: number, code: number): void {
    this.#sender.reset(id, code);
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#close(stream);
  }

  #requireKnown(id: number): void {
    if (id === 0 || id > this.#lastId) throw protocolError(`stream ${id} is not open`);
  }

  #close(stream: GrpcStream): void {
    if (!this.#streams.delete(stream.id)) return;
    clearTimeout(stream.timer);
    this.#sender.forget(stream);
    stream.ending ??= { code: STATUS.ok, details: "" };
    stream.listener?.closed();
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (!this.#isFinishing || this.#streams.size > 0) return;
    this.#goaway(this.#lastId, CODE.noError);
    this.#output.end();
  }
}

/** A payload without its padding (RFC 9113, 6.1). */
function unpadded(payload: Buffer, flags: number): Buffer {
  if ((flags & FLAG.padded) === 0) return payload;
  const padding = payload[0];
  if (padding === undefined || padding >= payload.length) {
    throw protocolError("padding is longer than its frame");
  }
  return payload.subarray(1, payload.length - padding);
}

const protocolError = (message: string) => new Http2Error(CODE.protocolError, message);
const frameSizeError = (message: string) => new Http2Error(CODE.frameSizeError, message);
const flowError = (message: string) => new Http2Error(CODE.flowControlError, message);
