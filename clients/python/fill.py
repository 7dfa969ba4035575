"""A link of the chain: fills a context. Arguments: the gateway's address and the traceparent. Prints the context's id."""

import sys

import grpc
from agb_gateway.v1 import context_service_pb2 as contexts_pb
from agb_gateway.v1 import context_service_pb2_grpc as contexts_grpc


def main(address, traceparent):
    options = {"timeout": 60, "metadata": (("traceparent", traceparent),)}
    with grpc.insecure_channel(address) as channel:
        contexts = contexts_grpc.ContextServiceStub(channel)
        context = contexts.CreateContext(contexts_pb.CreateContextRequest(context={"name": "chain"}), **options).context
        header = contexts_pb.UploadContextFileHeader(context_id=context.context_id, path="/tmp/mapping/chain.txt")
        parts = [
            contexts_pb.UploadContextFileRequest(header=header),
            contexts_pb.UploadContextFileRequest(data=b"filled by Python\n"),
        ]
        contexts.UploadContextFile(iter(parts), **options)
    print(context.context_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
