# mypy: disable-error-code="arg-type, var-annotated, untyped-decorator, no-untyped-call"
"""The tools, resources and prompts that the official conformance suite asks for, with its names and texts."""

import asyncio
import json
from pathlib import Path
from typing import Annotated, Any

import mcp_types as t
from mcp.server.mcpserver import Context, Elicit, ElicitationResult, MCPServer, RequestStateSecurity, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Prompt, UserMessage
from mcp.shared.exceptions import MCPError
from pydantic import BaseModel

DATA: dict[str, Any] = json.loads(Path(__file__).with_name("conformance_data.json").read_text())
server = MCPServer(
    "conformance", version="1", log_level="CRITICAL", request_state_security=RequestStateSecurity(keys=[b"k" * 32])
)


def tool(function: Any) -> Any:
    """A tool; the suite wants a description of each."""
    return server.tool(description=function.__name__.replace("_", " "))(function)


def prompt(function: Any) -> Any:
    """A prompt; the same."""
    return server.prompt(description=function.__name__.replace("_", " "))(function)


def text_of(value: str) -> t.TextContent:
    return t.TextContent(type="text", text=value)


def image() -> t.ImageContent:
    return t.ImageContent(type="image", data=DATA["IMAGE"], mime_type="image/png")


def resource(uri: str, mime_type: str, text: str) -> t.EmbeddedResource:
    held = t.TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return t.EmbeddedResource(type="resource", resource=held)


def ask(message: str, name: str, kind: str = "string") -> t.ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return t.ElicitRequest(params=t.ElicitRequestFormParams(message=message, requested_schema=schema))


def sample(prompt: str) -> t.CreateMessageRequest:
    said = t.SamplingMessage(role="user", content=text_of(prompt))
    return t.CreateMessageRequest(params=t.CreateMessageRequestParams(messages=[said], max_tokens=50))


def given(ctx: Context, key: str, field: str) -> str:
    answer = (ctx.input_responses or {}).get(key)
    return str((answer.content or {}).get(field)) if isinstance(answer, t.ElicitResult) else "?"


@tool
def test_simple_text() -> str:
    return "This is a simple text response for testing."


@tool
def test_image_content() -> list[t.ImageContent]:
    return [image()]


@tool
def test_audio_content() -> list[t.AudioContent]:
    return [t.AudioContent(type="audio", data=DATA["AUDIO"], mime_type="audio/wav")]


@tool
def test_embedded_resource() -> list[t.EmbeddedResource]:
    return [resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")]


@tool
def test_multiple_content_types() -> list[t.TextContent | t.ImageContent | t.EmbeddedResource]:
    embedded = resource("test://mixed-content-resource", "application/json", '{"test": "data", "value": 123}')
    return [text_of("Multiple content types test:"), image(), embedded]


@tool
async def test_tool_with_logging(ctx: Context) -> str:
    for what in ("execution started", "processing data", "execution completed"):
        await ctx.info(f"Tool {what}")
        await asyncio.sleep(0.05)
    return "Tool with logging executed successfully"


@tool
async def test_tool_with_progress(ctx: Context) -> str:
    for step in (0, 50, 100):
        await ctx.report_progress(step, 100, f"Completed step {step} of 100")
        await asyncio.sleep(0.05)
    return "done"


@tool
def test_error_handling() -> str:
    raise ToolError("This tool intentionally returns an error for testing")


@tool
async def test_sampling(prompt: str, ctx: Context) -> str:
    said = [t.SamplingMessage(role="user", content=text_of(prompt))]
    answer = await ctx.session.create_message(said, max_tokens=100, related_request_id=ctx.request_id)
    return f"LLM response: {answer.content.text if isinstance(answer.content, t.TextContent) else ''}"


async def elicited(ctx: Context, message: str, schema: dict[str, Any]) -> str:
    answer = await ctx.session.elicit_form(message, schema, ctx.request_id)
    return f"action={answer.action}, content={json.dumps(answer.content)}"


@tool
async def test_elicitation(message: str, ctx: Context) -> str:
    schema = {"type": "object", "properties": {"response": {"type": "string"}}, "required": ["response"]}
    return "User response: " + await elicited(ctx, message, schema)


@tool
async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
    return "Elicitation completed: " + await elicited(ctx, "Please review the defaults", DATA["DEFAULTS"])


@tool
async def test_elicitation_sep1330_enums(ctx: Context) -> str:
    return "Elicitation completed: " + await elicited(ctx, "Please choose", DATA["ENUMS"])


@tool
async def test_missing_capability(ctx: Context) -> str:
    declared = ctx.session.client_capabilities
    if declared is None or declared.sampling is None:
        data = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(t.MISSING_REQUIRED_CLIENT_CAPABILITY, "This tool requires sampling", data)
    return "Client declared sampling"


class Word(BaseModel):
    """What the resolver asks for."""

    response: str


def ask_word() -> Elicit[Word]:
    return Elicit("A word, please", Word)


@tool
async def test_streaming_elicitation(answer: Annotated[ElicitationResult[Word], Resolve(ask_word)]) -> str:
    return f"elicitation {answer.action}"


@tool
async def test_logging_tool(ctx: Context) -> str:
    await ctx.info("test_logging_tool ran")
    return "logged"


@tool
async def test_input_required_result_elicitation(ctx: Context) -> str | t.InputRequiredResult:
    if "user_name" in (ctx.input_responses or {}):
        return f"Hello, {given(ctx, 'user_name', 'name')}!"
    return t.InputRequiredResult(input_requests={"user_name": ask("What is your name?", "name")})


@tool
async def test_input_required_result_sampling(ctx: Context) -> str | t.InputRequiredResult:
    if "capital_question" in (ctx.input_responses or {}):
        return "Model said something"
    return t.InputRequiredResult(input_requests={"capital_question": sample("What is the capital of France?")})


@tool
async def test_input_required_result_list_roots(ctx: Context) -> str | t.InputRequiredResult:
    answer = (ctx.input_responses or {}).get("client_roots")
    if isinstance(answer, t.ListRootsResult):
        return f"Client exposed {len(answer.roots)} root(s)."
    return t.InputRequiredResult(input_requests={"client_roots": t.ListRootsRequest()})


@tool
async def test_input_required_result_request_state(ctx: Context) -> str | t.InputRequiredResult:
    if "confirm" in (ctx.input_responses or {}) and ctx.request_state == "nonce":
        return "state-ok: confirmation received"
    wanted = {"confirm": ask("Please confirm", "ok", "boolean")}
    return t.InputRequiredResult(input_requests=wanted, request_state="nonce")


@tool
async def test_input_required_result_multiple_inputs(ctx: Context) -> str | t.InputRequiredResult:
    wanted = {
        "user_name": ask("What is your name?", "name"),
        "greeting": sample("Generate a greeting"),
        "client_roots": t.ListRootsRequest(),
    }
    if wanted.keys() <= (ctx.input_responses or {}).keys():
        return "All inputs received."
    return t.InputRequiredResult(input_requests=wanted, request_state="multiple-inputs")


@tool
async def test_input_required_result_multi_round(ctx: Context) -> str | t.InputRequiredResult:
    state = json.loads(ctx.request_state or '{"round": 0}')
    answered = ctx.input_responses or {}
    if state["round"] == 2 and "step2" in answered:
        return f"{state['name']} likes {given(ctx, 'step2', 'color')}."
    if state["round"] == 1 and "step1" in answered:
        wanted, state = ask("Step 2: your favorite color?", "color"), {"name": given(ctx, "step1", "name")}
        return t.InputRequiredResult(input_requests={"step2": wanted}, request_state=json.dumps({**state, "round": 2}))
    wanted = ask("Step 1: What is your name?", "name")
    return t.InputRequiredResult(input_requests={"step1": wanted}, request_state='{"round": 1}')


@tool
async def test_input_required_result_tampered_state(ctx: Context) -> str | t.InputRequiredResult:
    if ctx.request_state is not None:
        return f"state-ok: {ctx.request_state}"
    wanted = {"confirm": ask("Please confirm", "ok", "boolean")}
    return t.InputRequiredResult(input_requests=wanted, request_state="round-1")


@tool
async def test_input_required_result_capabilities(ctx: Context) -> t.InputRequiredResult:
    declared = ctx.client_capabilities
    wanted: dict[str, Any] = {}
    if declared is None or declared.sampling is not None:
        wanted["sample"] = sample("Say hello")
    if declared is None or declared.elicitation is not None:
        wanted["ask"] = ask("What is your name?", "name")
    return t.InputRequiredResult(input_requests=wanted, request_state="capability-gated")


@tool
def json_schema_2020_12_tool() -> str:
    return "json_schema_2020_12_tool"


server._tool_manager._tools["json_schema_2020_12_tool"].parameters = DATA["SCHEMA_2020_12"]


@tool
async def test_reconnection(ctx: Context) -> str:
    await ctx.info("A bridge to stdio has no stream to resume")
    return "Reconnection test completed"


@tool
async def test_trigger_tool_change(ctx: Context) -> str:
    server.add_tool(test_simple_text, name="test_dynamic_tool")
    server.remove_tool("test_dynamic_tool")
    await ctx.notify_tools_changed()
    return "tool list changed"


@tool
async def test_trigger_prompt_change(ctx: Context) -> str:
    server.add_prompt(Prompt.from_function(test_simple_prompt, name="test_dynamic_prompt", description="dynamic"))
    server.remove_prompt("test_dynamic_prompt")
    await ctx.notify_prompts_changed()
    return "prompt list changed"


@server.resource("test://static-text")
def static_text() -> str:
    return "This is the content of the static text resource."


@server.resource("test://static-binary")
def static_binary() -> bytes:
    return b"\x89PNG\r\n\x1a\n"


@server.resource("test://template/{id}/data")
def template(id: str) -> str:  # noqa: A002 - the suite's name
    return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


@server.resource("test://watched-resource")
def watched() -> str:
    return "Watched resource content"


@prompt
def test_simple_prompt() -> list[UserMessage]:
    return [UserMessage(content=text_of("This is a simple prompt for testing."))]


@prompt
def test_prompt_with_arguments(arg1: str, arg2: str) -> list[UserMessage]:
    return [UserMessage(content=text_of(f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"))]


@prompt
def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803 - the suite's name
    embedded = resource(resourceUri, "text/plain", "Embedded resource content for testing.")
    return [UserMessage(content=embedded), UserMessage(content=text_of("Please process it."))]


@prompt
def test_prompt_with_image() -> list[UserMessage]:
    return [UserMessage(content=image()), UserMessage(content=text_of("Please analyze the image above."))]


@prompt
async def test_input_required_result_prompt(ctx: Context) -> list[UserMessage] | t.InputRequiredResult:
    if "user_context" in (ctx.input_responses or {}):
        return [UserMessage(content=text_of(f"Use: {given(ctx, 'user_context', 'context')}"))]
    return t.InputRequiredResult(input_requests={"user_context": ask("What context?", "context")})


@server.completion()
async def complete(_ref: Any, _argument: Any, _context: Any) -> t.Completion:
    return t.Completion(values=[], total=0, has_more=False)


async def nothing(_ctx: Any, _params: Any) -> t.EmptyResult:
    return t.EmptyResult()


low = server._lowlevel_server
low.add_request_handler("logging/setLevel", t.SetLevelRequestParams, nothing)
low.add_request_handler("resources/subscribe", t.SubscribeRequestParams, nothing)
low.add_request_handler("resources/unsubscribe", t.UnsubscribeRequestParams, nothing)
