"""Reads requests as receivers do who use the public packages."""

import json
import sys

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
    ids = [request["headers"]["webhook-id"] for request in given["seen"]]
    assert ids[0] in ids[1:], "the repeat has the id of the first attempt"
    print(f"standardwebhooks: {len(given['seen'])} requests are verified, each with both secrets")


main()
