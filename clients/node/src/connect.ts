// How a service in Node reaches the gateway: TLS, a token, the published service config, and what else it needs.
import { readFileSync } from "node:fs";

import { ChannelCredentials, credentials, Metadata, type ChannelOptions } from "@grpc/grpc-js";
import { GrpcTransport } from "@protobuf-ts/grpc-transport";

export const serviceConfig = JSON.parse(readFileSync(process.env.AGB_SERVICE_CONFIG!, "utf8"));

/** A transport to `target`. The token goes along with each call, and only over TLS. */
export function connect(target: string, options: ChannelOptions = {}, token = process.env.AGB_TOKEN, config = serviceConfig) {
  let channelCredentials: ChannelCredentials = credentials.createSsl(readFileSync(process.env.AGB_CA_FILE!));
  if (token) {
    const metadata = new Metadata();
    metadata.set("authorization", `Bearer ${token}`);
    const call = credentials.createFromMetadataGenerator((_, done) => done(null, metadata));
    channelCredentials = credentials.combineChannelCredentials(channelCredentials, call);
  }
  const clientOptions = {
    "grpc.service_config": JSON.stringify(config),
    // A name that goes to addresses of its own has to say whom their certificates are for.
    "grpc.ssl_target_name_override": "localhost",
    "grpc.default_authority": "localhost",
    "grpc.enable_http_proxy": 0,
    ...options,
  };
  return new GrpcTransport({ host: target, channelCredentials, clientOptions });
}
