import { BEHAVIOR } from "./behavior.js";

export type { QueryValue, RequestOptions, StreamOptions } from "./_runtime/call.js";
export type { AnyRequest, ClientOptions } from "./_runtime/client.js";
export { DEFAULT_BASE_URL } from "./_runtime/config.js";
export { DeploymentFailedError, type WaitParams, WaitTimeoutError } from "./_runtime/deployments.js";
export * from "./_runtime/errors.js";
export { List, Page } from "./_runtime/paging.js";
export {
  APIResponse,
  type APIWarning,
  type Pagination,
  type RateLimit as RateLimitInfo,
  RawResponse,
  type WithResponse,
} from "./_runtime/response.js";
export type { StreamEvent } from "./_runtime/sse.js";
export { Stream, type StreamEnd } from "./_runtime/stream.js";
export type { UploadParams } from "./_runtime/uploads.js";
export const VERSION: string = BEHAVIOR.version;
export * as webhooks from "./_runtime/webhooks.js";
export { CygniClient, type RawClient } from "./client.js";
export * from "./resources/index.js";
export * from "./types.js";
