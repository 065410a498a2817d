import type { IncomingHttpHeaders } from "node:http";

export type AdminRequest = {
  readonly query: URLSearchParams;
  readonly headers: Readonly<IncomingHttpHeaders>;
  /** UTF-8 text of at most 64 KiB; empty for GET. */
  readonly body: string;
  /** The body as JSON; throws the 400 that says where it is broken. */
  json(): unknown;
};

export type AdminAnswer = {
  readonly status: number;
  /** A string is sent as it is, anything else as JSON. */
  readonly body: unknown;
  /** Default: `application/json` for JSON, `text/plain` for a string. */
  readonly contentType?: string;
};

export type AdminRoute = {
  /** GET also answers HEAD. */
  readonly method: "GET" | "POST";
  /** The whole path; there are no patterns. */
  readonly path: string;
  /** A thrown ServiceError becomes its status and message, anything else a 500 without its text. */
  answer(request: AdminRequest): AdminAnswer | Promise<AdminAnswer>;
};
