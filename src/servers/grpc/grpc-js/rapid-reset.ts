/**
 * The rapid-reset trap. Envoy ends every side stream with RST_STREAM, unless it is told to close
 * them gracefully. Node's nghttp2 counts those frames against a budget (1000, refilled at 33 a
 * second: the CVE-2023-44487 mitigation) and, when it is spent, closes the connection with every
 * answer that is still on it: Envoy then asks again, or fails the request. Our peers are proxies
 * that authenticate by mTLS, not browsers, so Node 24 and later get a budget far beyond what they
 * send. Earlier versions have no such option; there a session is retired before its budget is spent.
 */
export const RESET_BUDGET = { streamResetBurst: 1_000_000, streamResetRate: 1_000_000 } as const;

const HAS_RESET_OPTIONS = Number.parseInt(process.versions.node, 10) >= 24;

/** Streams that one session may open. Each may end in one reset. */
export const STREAMS_PER_SESSION = HAS_RESET_OPTIONS ? Number.POSITIVE_INFINITY : 800;
