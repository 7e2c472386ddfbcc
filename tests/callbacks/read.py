"""Reads requests as receivers do who use the public packages."""

import json
import sys

from cloudevents.http import from_http
from standardwebhooks.webhooks import Webhook, WebhookVerificationError


def verified(secret, request, body):
    headers = {name.lower(): value for name, value in request["headers"].items()}
    return Webhook(secret).verify(body, headers)


def main():
    given = json.load(sys.stdin)
    for request in given["seen"]:
        for secret in given["secrets"]:
            assert verified(secret, request, request["body"]) == json.loads(request["body"])
        try:
            verified(given["secrets"][0], request, request["body"] + " ")
            sys.exit("a body that is not whole was taken")
        except WebhookVerificationError:
            pass
    events = [request for request in given["seen"] if request["path"] == "/cloudevents"]
    for request in events:
        event = from_http(request["headers"], request["body"])
        assert event["id"] == request["headers"]["webhook-id"], event
        assert event["source"] == "/api/v1/executions/" + event.data["execution_id"], event
        assert event["type"].startswith("io.backstitch.workflow."), event
        assert event["subject"] == "order" and event["specversion"] == "1.0", event
    assert len({event["headers"]["webhook-id"] for event in events}) == 2
    print(f"cloudevents: {len(events)} bodies are read")
    ids = [request["headers"]["webhook-id"] for request in given["seen"]]
    assert ids[0] in ids[1:], "the repeat has the id of the first attempt"
    print(f"standardwebhooks: {len(given['seen'])} requests are verified, each with both secrets")


main()
