// What the cases share: clients, contexts and sessions for a while, and the harness.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";

import type { ChannelOptions } from "@grpc/grpc-js";
import type { GrpcTransport } from "@protobuf-ts/grpc-transport";
import { RpcError } from "@protobuf-ts/runtime-rpc";
import { Any } from "agb-gateway-stubs/google/protobuf/any";
import { BadRequest, ErrorInfo, ResourceInfo } from "agb-gateway-stubs/google/rpc/error_details";
import { Status } from "agb-gateway-stubs/google/rpc/status";
import { type Context, CreateContextRequest, DeleteContextRequest } from "agb-gateway-stubs/agb/gateway/v1/context_service";
import { ContextServiceClient } from "agb-gateway-stubs/agb/gateway/v1/context_service.client";
import { type ContextSync, CreateSessionRequest, DeleteSessionRequest } from "agb-gateway-stubs/agb/gateway/v1/session_service";
import { SessionServiceClient } from "agb-gateway-stubs/agb/gateway/v1/session_service.client";
import { SyncServiceClient } from "agb-gateway-stubs/agb/gateway/v1/sync_service.client";
import { SyncStatus } from "agb-gateway-stubs/agb/gateway/v1/sync_task";

import { connect } from "./connect";

const hex = (length: number) => randomBytes(length).toString("hex");
const meta = { traceparent: `00-${hex(16)}-${hex(8)}-01` };
const transports: GrpcTransport[] = [];

/** A transport that lives as long as the suite. */
export function open(target: string, options?: ChannelOptions, token?: string, config?: object) {
  const transport = connect(target, options, token, config);
  transports.push(transport);
  return transport;
}

export const closeAll = () => transports.forEach((transport) => transport.close());

export const within = (timeout: number) => ({ timeout, meta });
export const minute = within(60_000);
/** Like `minute`, and waits for a connection that is not there yet. */
export const whenReady = { ...minute, metadataOptions: { waitForReady: true } };

const transport = open(process.env.AGB_TARGET!);
export const contexts = new ContextServiceClient(transport);
export const sessions = new SessionServiceClient(transport);
export const syncs = new SyncServiceClient(transport);

/** Asks the harness for what no gRPC call can do. */
export async function control(method: string, path: string, body?: object): Promise<any> {
  const answer = await fetch(process.env.AGB_CONTROL + path, { method, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, `${method} ${path}: ${text}`);
  return JSON.parse(text);
}

export const count = async (operation: string) => (await control("GET", `/count?operation=${operation}`)).count as number;

export async function withContext(use: (context: Context) => Promise<void>) {
  const request = CreateContextRequest.create({ context: { name: `node-${hex(8)}` } });
  const { context } = await contexts.createContext(request, minute).response;
  await use(context!);
  await contexts.deleteContext(DeleteContextRequest.create({ contextId: context!.contextId }), minute);
}

export async function withSession(use: (sessionId: string) => Promise<void>, ...contextSyncs: Partial<ContextSync>[]) {
  const request = CreateSessionRequest.create({ imageId: "agb-code-space-1", contextSyncs });
  const { sessionId } = (await sessions.createSession(request, minute).response).session!;
  await use(sessionId);
  await sessions.deleteSession(DeleteSessionRequest.create({ sessionId }), minute);
}

/** The error of a call, which must have this code. */
export async function refused(code: string, call: PromiseLike<unknown>): Promise<RpcError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof RpcError, String(error));
    assert.equal(error.code, code, error.message);
    return error;
  }
  throw new Error(`it should have been refused with ${code}`);
}

/** The details of an error, by google.rpc.Status. */
export function details(error: RpcError) {
  const encoded = error.meta["grpc-status-details-bin"] as string;
  assert.ok(encoded, "the error has no details");
  const all = Status.fromBinary(Buffer.from(encoded, "base64")).details;
  const one = <T extends object>(type: { typeName: string; fromBinary(data: Uint8Array): T }) => {
    const found = all.find((detail) => detail.typeUrl === `type.googleapis.com/${type.typeName}`);
    return found && type.fromBinary(found.value);
  };
  assert.ok(all.every((detail) => Any.is(detail)));
  return { info: one(ErrorInfo), badRequest: one(BadRequest), resource: one(ResourceInfo), syncStatus: one(SyncStatus) };
}
