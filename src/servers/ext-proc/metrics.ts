/** What one ProcessingRequest carries; `unknown` is a kind newer than our protos. A closed set: it labels metrics. */
export const MESSAGE_KINDS = [
  "requestHeaders",
  "responseHeaders",
  "requestBody",
  "responseBody",
  "requestTrailers",
  "responseTrailers",
  "unknown",
] as const;
export type MessageKind = (typeof MESSAGE_KINDS)[number];

/** Opened minus closed is the number of open side streams. No method may throw. */
export type ExtProcMetrics = {
  streamOpened(): void;
  streamClosed(): void;
  received(kind: MessageKind): void;
  /** A message that the protocol does not expect here: second request headers, or not a message. */
  spurious(): void;
  /** Request headers were answered; seconds from their arrival to the answer's bytes. */
  answered(seconds: number): void;
  /** A bug in our code: the safe default was answered. Alert on any. */
  failed(): void;
  /** A header of ours was left out because Envoy would have refused the whole mutation for it. */
  headerDropped(name: string): void;
};
