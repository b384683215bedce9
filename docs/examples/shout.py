"""An engine in ten lines, served over OpenAI's API and asked once."""

import json
import urllib.request

from actors import CancellationToken
from http_service import HttpService


class Shout:
    """Answers the last message in capitals, a word at a time."""

    def generate(self, request, context):
        for word in request.body["messages"][-1]["content"].upper().split():
            yield {"choices": [{"index": 0, "delta": {"content": word + " "}}]}
        yield {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


service = HttpService.builder().host("127.0.0.1").port(0).build()
service.model_manager().add_chat_completions_model("shout", Shout())
token = CancellationToken()
handle = service.spawn(token)

question = {"model": "shout", "messages": [{"role": "user", "content": "hello there"}]}
request = urllib.request.Request(
    f"{service.url}/v1/chat/completions",
    json.dumps(question).encode(),
    {"content-type": "application/json"},
)
with urllib.request.urlopen(request) as response:
    print(json.load(response)["choices"][0]["message"]["content"])

token.cancel()  # drains: requests in flight finish
handle.join(timeout=60)
