/*
CygniError
├── ConfigurationError            no key, or a base URL that is none
├── APIConnectionError            no answer
│   └── APITimeoutError           no answer in time
├── APIStatusError                an answer that says no
│   ├── BadRequestError           400
│   ├── AuthenticationError       401
│   ├── PermissionDeniedError     403
│   ├── NotFoundError             404
│   ├── ConflictError             409
│   ├── UnprocessableEntityError  422
│   ├── RateLimitError            429
│   └── InternalServerError       500 and above
├── ArchiveError                  a folder that cannot be packed
├── WebhookVerificationError      a request that is not a webhook of Cygni's
├── DeploymentFailedError         a deployment that was waited for
└── WaitTimeoutError              the same, still under way
*/

import { BEHAVIOR } from "../behavior.js";
import type { APIResponse } from "./response.js";

/** The root of everything this package throws by itself. */
export class CygniError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** The client cannot be made: there is no key, or the base URL is not one. */
export class ConfigurationError extends CygniError {}

/** The API did not answer: no route, a refused or a broken connection. */
export class APIConnectionError extends CygniError {}

/** The API did not answer in time. */
export class APITimeoutError extends APIConnectionError {}

/** One invalid field of a request. */
export interface FieldError {
  field: string;
  code: string;
  reason: string;
}

/** The `error` object of an answer, of which a proxy's answer has nothing. */
export interface ErrorBody {
  code?: string;
  message?: string;
  hint?: string | null;
  details?: Record<string, unknown>;
  docUrl?: string | null;
  errors?: FieldError[];
}

/** The API answered with an error. */
export class APIStatusError extends CygniError {
  readonly status: number;
  /** Stable, and for programs. */
  readonly code: string;
  /** What to do next; null where nothing helps. */
  readonly hint: string | null;
  /** Depends on the code. */
  readonly details: Record<string, unknown>;
  /** Every invalid field. */
  readonly errors: FieldError[];
  readonly docUrl: string | null;
  /** Names the call in the server's log. */
  readonly requestId: string | null;
  /** Seconds; null where the answer gave none. */
  readonly retryAfter: number | null;
  /** Headers and rate limit of the answer. */
  readonly lastResponse: APIResponse;

  constructor(lastResponse: APIResponse, body: ErrorBody, retryAfter: number | null) {
    const code = body.code || `http_${lastResponse.status}`;
    super(`${lastResponse.status} ${code}: ${body.message || `The API answered with status ${lastResponse.status}.`}`);
    this.status = lastResponse.status;
    this.code = code;
    this.hint = body.hint ?? null;
    this.details = body.details ?? {};
    this.errors = body.errors ?? [];
    this.docUrl = body.docUrl ?? null;
    this.requestId = lastResponse.requestId;
    this.retryAfter = retryAfter;
    this.lastResponse = lastResponse;
  }
}

export class BadRequestError extends APIStatusError {}
export class AuthenticationError extends APIStatusError {}
export class PermissionDeniedError extends APIStatusError {}
export class NotFoundError extends APIStatusError {}
export class ConflictError extends APIStatusError {}
export class UnprocessableEntityError extends APIStatusError {}
export class RateLimitError extends APIStatusError {}
export class InternalServerError extends APIStatusError {}

/** The folder holds something that cannot be deployed; the message names it. */
export class ArchiveError extends CygniError {}

/** The request is not a webhook of this secret, or too old to be one. */
export class WebhookVerificationError extends CygniError {}

const CLASSES = {
  BadRequestError,
  AuthenticationError,
  PermissionDeniedError,
  NotFoundError,
  ConflictError,
  UnprocessableEntityError,
  RateLimitError,
  InternalServerError,
};
const BY_STATUS: Readonly<Record<string, keyof typeof CLASSES>> = BEHAVIOR.errors.byStatus;

/** The class for this status; APIStatusError itself where the tree names none. */
export function statusErrorClass(status: number): typeof APIStatusError {
  const name = status >= 500 ? BEHAVIOR.errors.server : BY_STATUS[status];
  return name === undefined ? APIStatusError : CLASSES[name];
}
