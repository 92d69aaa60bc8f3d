# SPDX-License-Identifier: Apache-2.0
"""The gate through python3-grpcio, the C core implementation of gRPC.

gate_client.py PROTO_DIR TARGET: reads one JSON request per line from stdin,
{"method", "request", "deadline"?, "metadata"?, "gzip"?}, and prints one JSON
answer per line: {"ok": message} or {"code", "details"}. The method "Watch" gets
a list of requests and answers with what came until "take" messages arrived.
Messages are built from the .proto files at run time.
"""
import json
import os
import subprocess
import sys
import tempfile

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory


def load(proto_dir):
    """All message classes of the .proto files, and (input, output) by method path."""
    with tempfile.TemporaryDirectory() as tmp:
        out = os.path.join(tmp, "all.fds")
        names = ["gate.proto", "health.proto"]
        subprocess.run(["protoc", "-I", proto_dir, "--descriptor_set_out=" + out, *names],
                       check=True)
        with open(out, "rb") as f:
            files = descriptor_pb2.FileDescriptorSet.FromString(f.read())
    pool = descriptor_pool.DescriptorPool()
    for file in files.file:
        pool.Add(file)
    # New versions of protobuf have one function, old ones a factory.
    message_class = getattr(message_factory, "GetMessageClass", None) \
        or message_factory.MessageFactory(pool).GetPrototype
    methods = {}
    for file in files.file:
        for service in file.service:
            full = file.package + "." + service.name
            for method in pool.FindServiceByName(full).methods:
                methods["/%s/%s" % (full, method.name)] = (
                    message_class(method.input_type),
                    message_class(method.output_type))
    return methods


def to_dict(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def unary(channel, methods, ask):
    asked, answered = methods.get(ask["method"], methods["/bailiff.v1.AgentGate/Check"])
    call = channel.unary_unary(ask["method"], asked.SerializeToString, answered.FromString)
    compression = grpc.Compression.Gzip if ask.get("gzip") else None
    answer = call(json_format.ParseDict(ask["request"], asked()),
                  timeout=ask.get("deadline", 50), metadata=list(ask.get("metadata", {}).items()),
                  compression=compression)
    return {"ok": to_dict(answer)}


def watch(channel, methods, ask):
    asked, answered = methods[ask["method"]]
    call = channel.stream_stream(ask["method"], asked.SerializeToString, answered.FromString)
    stream = call(iter([json_format.ParseDict(r, asked()) for r in ask["request"]]),
                  timeout=ask.get("deadline", 50))
    got = []
    for message in stream:
        got.append(to_dict(message))
        if len(got) == ask["take"]:
            break
    stream.cancel()
    return {"ok": got}


def main():
    methods = load(sys.argv[1])
    with grpc.insecure_channel(sys.argv[2]) as channel:
        for line in sys.stdin:
            ask = json.loads(line)
            work = watch if isinstance(ask["request"], list) else unary
            try:
                answer = work(channel, methods, ask)
            except grpc.RpcError as e:
                answer = {"code": e.code().name, "details": e.details()}
            print(json.dumps(answer), flush=True)


main()
