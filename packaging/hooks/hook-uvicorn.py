"""uvicorn: nothing. The SDK imports it for servers that listen on a network, which this one never does."""
