/**
 * The rapid-reset trap. Envoy ends every side stream with RST_STREAM. Node's nghttp2 counts those
 * frames against a budget (1000, refilled at 33 a second: the CVE-2023-44487 mitigation) and closes
 * the connection when it is spent, so under load about one request in 500 fails with a 500 and no
 * log line. Our peers are proxies that authenticate by mTLS, not browsers: the budget is raised far
 * beyond what they send. Node 24 and later take these options; earlier ones ignore them, and there
 * Envoy's `ext_proc_graceful_grpc_close` or a retry policy must help (see envoy/).
 */
export const RESET_BUDGET = { streamResetBurst: 1_000_000, streamResetRate: 1_000_000 } as const;
