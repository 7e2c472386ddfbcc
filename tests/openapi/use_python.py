"""The client that openapi-python-client generates: submit, follow, cancel, letter retry."""

import sys

from backstitch_client import AuthenticatedClient
from backstitch_client.api.dead_letters import get_letter, list_letters, retry_letter
from backstitch_client.api.executions import (
    cancel_execution, execute_workflow, get_execution, list_execution_events, list_executions)
from backstitch_client.api.workflows import define_workflow
from backstitch_client.models import (
    Accepted, Begun, CancelRequest, Defined, Definition, Error, ExecuteRequest, Execution, ExecutionStatus, RetryRequest)


def main(url, key):
    client = AuthenticatedClient(base_url=url, token=key, raise_on_unexpected_status=True)
    definition = Definition.from_dict({"id": "greet", "steps": [{"id": "a", "type": "noop"}]})
    defined = define_workflow.sync(client=client, body=definition)
    assert isinstance(defined, Defined) and defined.revision == 1, defined

    ran = execute_workflow.sync("greet", client=client, body=ExecuteRequest(input_={"to": "you"}, wait_seconds=30))
    assert isinstance(ran, Execution) and ran.status == ExecutionStatus.COMPLETED, ran
    assert ran.steps.additional_properties["a"].status == "succeeded", ran

    events, after = [], 0
    while True:
        page = list_execution_events.sync(ran.execution_id, client=client, after_version=after, limit=2)
        events += page.events
        if page.next_after_version is None:
            break
        after = page.next_after_version
    assert [own.version for own in events] == list(range(1, len(events) + 1)) and len(events) > 2, events

    begun = execute_workflow.sync("slow", client=client, body=ExecuteRequest())
    assert isinstance(begun, Begun), begun
    cancelled = cancel_execution.sync(begun.execution_id, client=client, body=CancelRequest(reason="no more"))
    assert isinstance(cancelled, Accepted), cancelled
    while get_execution.sync(begun.execution_id, client=client).status != ExecutionStatus.CANCELLED:
        pass

    letters = list_letters.sync(client=client).letters
    retried = retry_letter.sync(letters[0].letter_id, client=client, body=RetryRequest(reason="again"))
    letter = get_letter.sync(letters[0].letter_id, client=client)
    assert retried.letter_id == letter.letter_id and letter.status.value == "retried", (retried, letter)

    page = list_executions.sync(client=client, limit=1)
    assert len(page.executions) == 1 and isinstance(page.next_cursor, str), page
    further = list_executions.sync(client=client, limit=1, cursor=page.next_cursor)
    assert further.executions[0].execution_id != page.executions[0].execution_id, further
    missing = get_execution.sync("exec_nothing", client=client)
    assert isinstance(missing, Error) and missing.error_code.value == "EXECUTION_NOT_FOUND", missing


main(*sys.argv[1:])
