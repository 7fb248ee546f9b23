"""A gRPC client that has never heard of mpfork: no generated code, no handshake, no descriptors.

All it knows it learns by reflection. Run with the path of mpforkd's socket and that of a program
with a function "value"; it fails with what is wrong, or says "done".
"""

import base64
import sys
import uuid

import grpc
from google.protobuf import descriptor_pool, json_format, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)


class Client:
    """Calls anything by name, with requests and answers as dictionaries."""

    def __init__(self, socket):
        # Without this option the authority is the socket's path, which HTTP/2 servers refuse.
        options = [("grpc.default_authority", "localhost")]
        self.channel = grpc.insecure_channel(f"unix:{socket}", options=options)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        self.pool = descriptor_pool.DescriptorPool(self.database)

    def services(self):
        return sorted(self.database.get_services())

    def describe(self, service):
        return self.pool.FindServiceByName(service)

    def prepare(self, service, method, request):
        """The stub of a call, of the kind the description says, and its message."""
        method = self.describe(service).methods_by_name[method]
        kinds = {
            (False, False): self.channel.unary_unary,
            (False, True): self.channel.unary_stream,
            (True, True): self.channel.stream_stream,
        }
        stub = kinds[method.client_streaming, method.server_streaming](
            f"/{service}/{method.name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=message_factory.GetMessageClass(method.output_type).FromString,
        )
        message_class = message_factory.GetMessageClass(method.input_type)
        return stub, json_format.ParseDict(request, message_class())

    def call(self, service, method, request=None):
        stub, message = self.prepare(service, method, request or {})
        return dictionary(stub(message, timeout=30))

    def stream(self, service, method, request=None):
        stub, message = self.prepare(service, method, request or {})
        for answer in stub(message, timeout=30):
            yield dictionary(answer)

    def converse(self, service, method, requests):
        """Sends the requests one after the other, while answers come."""
        prepared = [self.prepare(service, method, request) for request in requests]
        stub, _ = prepared[0]
        for answer in stub(iter([message for _, message in prepared]), timeout=30):
            yield dictionary(answer)


def dictionary(message):
    return json_format.MessageToDict(message, preserving_proto_field_name=True)


def text(string):
    """Bytes, as JSON has them."""
    return base64.b64encode(string.encode()).decode()


def joined(answers, field):
    """The bytes that came in this field, which is all that the answers have."""
    answers = list(answers)
    expect({name for answer in answers for name in answer}, {field})
    return b"".join(base64.b64decode(answer[field]) for answer in answers)


def command(*words):
    program, *args = map(text, words)
    return {
        "request_id": text(uuid.uuid4().hex),
        "template": "command",
        "task": {"command": {"program": program, "args": args}},
        "state": {"env": [{"set": {"name": text("PATH"), "value": text("/usr/bin:/bin")}}]},
    }


def expect(got, wanted):
    if got != wanted:
        raise AssertionError(f"expected {wanted!r}, not {got!r}")


def refused(code, call):
    try:
        call()
    except grpc.RpcError as error:
        expect(error.code(), code)
    else:
        raise AssertionError(f"not refused with {code}")


ADMIN = "mpfork.v1.Admin"
EVENTS = "mpfork.v1.Events"
LOGS = "mpfork.v1.Logs"
TEMPLATES = "mpfork.v1.Templates"
WORKERS = "mpfork.v1.ForkServer"
HEALTH = "grpc.health.v1.Health"


def lists_and_describes(client):
    services = client.services()
    for service in [ADMIN, EVENTS, LOGS, TEMPLATES, WORKERS, HEALTH, "mpfork.v1.Connection"]:
        assert service in services, services
    for service in services:
        methods = client.describe(service).methods
        assert methods, service
        for method in methods:
            # Messages in messages, to the last: none may be missing from what is served.
            message_factory.GetMessageClass(method.input_type)
            message_factory.GetMessageClass(method.output_type)


def converses(client):
    questions = [{"list_services": ""}, {"file_containing_symbol": "mpfork.v1.Admin"}]
    reflection = "grpc.reflection.v1.ServerReflection"
    listed, file = client.converse(reflection, "ServerReflectionInfo", questions)
    listed = [service["name"] for service in listed["list_services_response"]["service"]]
    expect(sorted(listed), client.services())
    assert file["file_descriptor_response"]["file_descriptor_proto"], file


def asks_the_daemon(client):
    expect(client.call(HEALTH, "Check")["status"], "SERVING")
    expect(client.call(HEALTH, "Check", {"service": WORKERS})["status"], "SERVING")
    status = client.call(ADMIN, "GetStatus")
    assert status["pid"] > 0 and status["connections"] == 1, status
    names = [template["name"] for template in client.call(TEMPLATES, "ListTemplates")["templates"]]
    expect(names, ["command"])
    template = client.call(TEMPLATES, "GetTemplate", {"template": "command"})["template"]
    expect(template["state"], "TEMPLATE_STATE_COLD")
    *_, last = client.stream(TEMPLATES, "WarmTemplate", {"template": "command"})
    expect(last["warm"]["state"], "TEMPLATE_STATE_WARM")
    reload = {"template": "command"}
    assert client.call(TEMPLATES, "ReloadTemplate", reload)["template"]["zygote_pid"] > 0
    refused(
        grpc.StatusCode.NOT_FOUND,
        lambda: client.call(TEMPLATES, "GetTemplate", {"template": "absent"}),
    )


def runs_workers(client):
    # `RunWorker` tells the start, later the end.
    started, exited = client.stream(WORKERS, "RunWorker", {"spec": command("sh", "-c", "exit 7")})
    assert started["started"]["pid"] > 0 and "pidfd" not in started["started"], started
    expect(exited["exited"]["code"], 7)
    # One that is started for good, looked at, signalled, and waited for.
    start = {"spec": command("sleep", "600"), "detached": True}
    worker = client.call(WORKERS, "StartWorker", start)["started"]["worker"]
    listed = client.call(WORKERS, "ListWorkers")["workers"]
    expect([entry["worker"] for entry in listed], [worker])
    seen = client.call(WORKERS, "GetWorker", {"worker": worker})["worker"]
    expect(seen["task"], "sleep 600")
    waited = client.call(WORKERS, "WaitWorker", {"worker": worker, "timeout": "0s"})
    expect(waited, {})
    signalled = client.call(WORKERS, "SignalWorker", {"worker": worker, "signal": 15})
    expect(signalled, {"delivered": True})
    waited = client.call(WORKERS, "WaitWorker", {"worker": worker})
    expect(waited["exit"]["signaled"]["signal"], 15)


def reads_and_writes(client):
    """A worker's streams without descriptors: what is kept of them, and what is attached to."""
    spec = command("sh", "-c", "echo one; echo two >&2")
    started, exited = client.stream(WORKERS, "RunWorker", {"spec": spec})
    expect(exited["exited"]["code"], 0)
    source = {"worker": started["started"]["worker"]}
    expect(joined(client.stream(LOGS, "ReadLogs", source), "data"), b"one\ntwo\n")
    requests = [{"start": {"spec": command("cat")}}, {"stdin": text("to and fro\n")}]
    requests.append({"stdin_end": {}})
    started, *output, exited = client.converse(WORKERS, "Attach", requests)
    assert started["started"]["pid"] > 0, started
    expect(joined(output, "stdout"), b"to and fro\n")
    expect(exited["exited"]["code"], 0)


def calls_a_function(client, program):
    """Of a Rust program that links mpfork, in a worker that finds its preloads loaded."""
    spec = {"program_path": text(program), "all_preloads": True}
    digest = client.call(TEMPLATES, "RegisterTemplate", {"spec": spec})["digest"]
    nothing = base64.b64encode(b"\xc0").decode()  # MessagePack for no argument
    spec = {
        "request_id": text(uuid.uuid4().hex),
        "template": digest,
        "task": {"function": {"name": "value", "argument": nothing}},
    }
    started, exited = client.stream(WORKERS, "RunWorker", {"spec": spec})
    assert started["started"]["pid"] > 0, started
    expect(exited["exited"]["code"], 0)
    client.call(TEMPLATES, "RemoveTemplate", {"template": digest})


def watches_and_steers(client):
    remembered = {"after_sequence": 0, "remembered_only": True}
    kinds = [
        answer["event"]["kind"] for answer in client.stream(EVENTS, "WatchEvents", remembered)
    ]
    expect(kinds[0], "EVENT_KIND_TEMPLATE_REGISTERED")
    assert "EVENT_KIND_WORKER_EXITED" in kinds, kinds
    expect(kinds[-1], "EVENT_KIND_TEMPLATE_REMOVED")
    changed = client.call(ADMIN, "SetLogFilter", {"filter": "warn", "duration": "600s"})
    expect(changed["log_filter"]["filter"], "warn")
    *_, drained = client.stream(ADMIN, "Drain")
    expect(drained, {"state": "DRAIN_STATE_DRAINED"})
    expect(client.call(HEALTH, "Check")["status"], "NOT_SERVING")
    start = {"spec": command("true")}
    refused(grpc.StatusCode.UNAVAILABLE, lambda: client.call(WORKERS, "StartWorker", start))
    *_, undone = client.stream(ADMIN, "Drain", {"undo": True})
    expect(undone, {"state": "DRAIN_STATE_ACCEPTING"})
    expect(client.call(ADMIN, "Shutdown", {"grace": "1s"}), {})


def main():
    client = Client(sys.argv[1])
    lists_and_describes(client)
    converses(client)
    asks_the_daemon(client)
    runs_workers(client)
    reads_and_writes(client)
    calls_a_function(client, sys.argv[2])
    watches_and_steers(client)
    client.channel.close()
    print("done")


main()
