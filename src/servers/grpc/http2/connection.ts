import type { Socket } from "node:net";
import { CODE, Http2Error } from "./error.js";
import { FrameReader } from "./frame-reader.js";
import { FLAG, FRAME, FrameOutput, MAX_WINDOW } from "./frames.js";
import { HTTP_STATUS, plainStatus, refusalOf, STATUS } from "./grpc.js";
import { protocolError, requireShape, unpadded } from "./frame-shape.js";
import { HeaderReader, type HeaderBlock } from "./header-reader.js";
import { HeldBytes } from "./held-bytes.js";
import { Inflater } from "./inflater.js";
import { keepAlive } from "./keepalive.js";
import { settingsOf, STREAM_WINDOW } from "./limits.js";
import { OpenStreams, type StreamCount } from "./open-streams.js";
import { areTrailers, requestHeadOf, type RequestHead } from "./request-head.js";
import { ReceiveWindow } from "./receive-window.js";
import { Sender } from "./sender.js";
import type { Service } from "./service.js";
import { GrpcStream, OK, type StreamParts } from "./stream.js";
import { UntakenBytes } from "./untaken-bytes.js";

const RETIRING = Buffer.from("retiring");
const ARE_YOU_THERE = Buffer.from("are you?");

/**
 * The server's half of one HTTP/2 connection (RFC 9113) that carries gRPC streams. A mistake inside
 * of a stream ends that stream, any other ends the connection with GOAWAY and its code. A stream that
 * is reset takes with it what waits for it, so those that are opened and reset at any rate leave no
 * work behind (CVE-2023-44487), and no count of resets ends a connection.
 */
export class Http2Connection {
  readonly #socket: Socket;
  readonly #service: Service;
  readonly #output: FrameOutput;
  readonly #sender: Sender;
  readonly #reader = new FrameReader();
  readonly #headers = new HeaderReader();
  readonly #streams: OpenStreams<GrpcStream>;
  #lastId = 0;
  readonly #receiveWindow: ReceiveWindow;
  readonly #held: HeldBytes;
  readonly #streamParts: StreamParts;
  #hasSettings = false;
  #isFinishing = false;
  #onHeard: () => void = () => undefined;

  constructor(socket: Socket, service: Service, together: StreamCount) {
    this.#socket = socket;
    this.#service = service;
    const { limits } = service;
    const budget = limits.heldBytes();
    this.#held = new HeldBytes(budget, limits);
    this.#streams = new OpenStreams(limits.maxStreams, together);
    this.#output = new FrameOutput(socket);
    this.#receiveWindow = new ReceiveWindow(this.#output);
    const untaken = new UntakenBytes(budget, limits, (stream) => {
      this.#refuse(stream.id, CODE.enhanceYourCalm);
      this.#output.settle();
    });
    this.#sender = new Sender(this.#output, untaken, {
      sent: (stream) => {
        this.#receiveWindow.credit(stream);
      },
      finished: (stream) => {
        this.#close(stream);
      },
    });
    const { maxMessageBytes } = limits;
    const inflater = new Inflater(maxMessageBytes, budget);
    this.#streamParts = {
      ...{ output: this.#sender, maxMessageBytes },
      inflate: (stream, message) => {
        void inflater.inflate(stream, message).then((inflated) => {
          this.#take(stream, () => {
            stream.inflated(inflated);
          });
        });
      },
    };
    keepAlive(socket, () => {
      this.#output.ping(ARE_YOU_THERE, 0);
      this.#output.settle();
    });
    socket.on("data", (chunk: Buffer) => {
      this.#read(chunk);
    });
    socket.on("drain", () => {
      socket.resume();
      this.#sender.drained();
    });
    // What a peer does to its socket ends its streams, and is no error of ours: see "close".
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#onHeard();
      for (const stream of this.#streams.values()) this.#close(stream);
    });
    this.#output.settings(settingsOf(limits));
    this.#receiveWindow.open();
    this.#output.settle();
  }

  /** Asks the peer to open no more streams; resolves when it has read that, or is gone. */
  retire(): Promise<void> {
    return new Promise((resolve) => {
      this.#onHeard = resolve;
      if (this.#socket.destroyed) resolve();
      // The highest id: streams on their way are still served. A PING behind it comes back when
      // the peer has read both (RFC 9113, 6.8).
      this.#output.goaway(MAX_WINDOW, CODE.noError);
      this.#output.ping(RETIRING, 0);
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

  #read(chunk: Buffer): void {
    this.#output.together(() => {
      try {
        this.#reader.read(chunk, this.#onFrame);
      } catch (error) {
        this.#fail(error);
      }
    });
    if (this.#output.isOverfull) this.#socket.pause();
  }

  #fail(error: unknown): void {
    const isOfPeer = error instanceof Http2Error;
    if (!isOfPeer) this.#service.onBug(error);
    this.#output.goaway(this.#lastId, isOfPeer ? error.code : CODE.internalError);
    this.#socket.removeAllListeners("data");
    this.#output.cut();
  }

  readonly #onFrame = (type: number, flags: number, id: number, payload: Buffer): void => {
    this.#headers.requireNext(type, id);
    if (!this.#hasSettings && type !== FRAME.settings) throw protocolError("SETTINGS come first");
    requireShape(type, flags, id, payload);
    switch (type) {
      case FRAME.data:
        this.#onData(id, flags, payload);
        return;
      case FRAME.headers:
        this.#onFields(this.#headers.begin(id, flags, payload));
        return;
      case FRAME.continuation:
        this.#onFields(this.#headers.resume(flags, payload));
        return;
      case FRAME.rstStream:
        this.#onReset(id);
        return;
      case FRAME.windowUpdate:
        this.#onWindowUpdate(id, payload.readUInt32BE(0) & MAX_WINDOW);
        return;
      case FRAME.settings:
        this.#onSettings(flags, payload);
        return;
      case FRAME.ping:
        this.#onPing(flags, payload);
        return;
      default:
        // Priorities are advice, and a peer that says GOAWAY closes by itself.
        return;
    }
  };

  #onData(id: number, flags: number, payload: Buffer): void {
    this.#receiveWindow.take(payload.length);
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
      this.#take(stream, () => {
        if (data.length > 0) stream.receive(data);
      });
      if ((flags & FLAG.endStream) !== 0) this.#halfClose(stream);
      else this.#receiveWindow.credit(stream);
    }
  }

  /** Lets a stream take bytes, and counts what it holds of them if it stays open. */
  #take(stream: GrpcStream, take: () => void): void {
    this.#deliver(stream, take);
    if (this.#streams.get(stream.id) === stream) this.#held.bound(stream);
  }

  /** Undefined: the block goes on. */
  #onFields(block: HeaderBlock | undefined): void {
    if (block === undefined) return;
    const { streamId: id, isLast, fields } = block;
    const stream = this.#streams.get(id);
    if (stream !== undefined) {
      if (stream.isHalfClosed) this.#refuse(id, CODE.streamClosed);
      else if (!isLast || !areTrailers(fields)) this.#refuse(id, CODE.protocolError);
      else this.#halfClose(stream);
    } else if (id <= this.#lastId) {
      this.#output.reset(id, CODE.streamClosed);
    } else {
      this.#lastId = id;
      this.#open(block);
    }
  }

  #open({ streamId: id, isLast, fields, isTooLarge }: HeaderBlock): void {
    const head = requestHeadOf(fields);
    if (isTooLarge) this.#answerPlainly(id, isLast, HTTP_STATUS.headersTooLarge);
    else if (head === undefined) this.#output.reset(id, CODE.protocolError);
    else if (this.#streams.isFull) this.#output.reset(id, CODE.refusedStream);
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
    const stream = new GrpcStream(id, head, this.#streamParts, windows);
    this.#streams.add(stream);
    const accept = this.#service.methods.get(head.path);
    if (refusal !== undefined) stream.fail(refusal.code, refusal.details);
    else if (accept === undefined) {
      stream.fail(STATUS.unimplemented, `there is no method ${head.path}`);
    } else {
      this.#deliver(stream, () => {
        stream.listener = accept(stream);
      });
      const { timeoutMs } = stream;
      if (timeoutMs !== undefined) {
        stream.timer = setTimeout(() => {
          stream.fail(
            STATUS.deadlineExceeded,
            `its deadline has passed: it was open for ${timeoutMs} ms`,
          );
        }, timeoutMs);
      }
      if (isLast) this.#halfClose(stream);
    }
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
    } catch (error) {
      this.#service.onBug(error);
      stream.fail(STATUS.internal, "internal error");
    }
  }

  #onReset(id: number): void {
    const stream = this.#streams.get(id);
    if (stream === undefined) this.#requireKnown(id);
    else this.#close(stream);
  }

  #onWindowUpdate(id: number, increment: number): void {
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

  #onSettings(flags: number, payload: Buffer): void {
    this.#hasSettings = true;
    if ((flags & FLAG.ack) !== 0) return;
    for (let at = 0; at < payload.length; at += 6) {
      this.#sender.set(payload.readUInt16BE(at), payload.readUInt32BE(at + 2), this.#streams);
    }
    this.#output.frame(0, FRAME.settings, FLAG.ack, 0);
  }

  #onPing(flags: number, payload: Buffer): void {
    if ((flags & FLAG.ack) === 0) this.#output.ping(payload, FLAG.ack);
    else if (payload.equals(RETIRING)) this.#onHeard();
  }

  /** An HTTP answer without a body, for what is no gRPC. */
  #answerPlainly(id: number, isLast: boolean, httpStatus: number): void {
    this.#output.fields(plainStatus(httpStatus), FLAG.endStream, id);
    if (!isLast) this.#output.reset(id, CODE.noError);
  }

  /** Ends a stream for a mistake that is its own. */
  #refuse(id: number, code: number): void {
    this.#output.reset(id, code);
    const stream = this.#streams.get(id);
    if (stream !== undefined) this.#close(stream);
  }

  #requireKnown(id: number): void {
    if (id === 0 || id > this.#lastId) throw protocolError(`stream ${id} is not open`);
  }

  #close(stream: GrpcStream): void {
    if (!this.#streams.delete(stream.id)) return;
    clearTimeout(stream.timer);
    this.#held.forget(stream);
    this.#sender.forget(stream);
    stream.ending ??= OK;
    stream.listener?.closed();
    this.#endWhenIdle();
  }

  #endWhenIdle(): void {
    if (!this.#isFinishing || this.#streams.size > 0) return;
    this.#output.goaway(this.#lastId, CODE.noError);
    this.#output.end();
  }
}
