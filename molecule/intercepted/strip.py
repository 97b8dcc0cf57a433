"""Double of a firewall that inspects SMTP: relays to the real server and takes STARTTLS out of what it offers.

strip.py NAME PORT      puts itself in front of the server NAME for this machine: its connections are redirected here
"""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys

HERE = ("127.0.0.21", 10587)
NFT = """
table ip strip {{
  chain out {{
    type nat hook output priority -100
    ip daddr {address} tcp dport {port} meta skuid != {user} dnat to {here[0]}:{here[1]}
  }}
}}
"""
NOBODY = 65534


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, clean: bool) -> None:
    while data := await reader.read(65536):
        if clean:
            # As such firewalls do: the word is overwritten, so that lengths stay.
            data = re.sub(rb"(?m)^(250[ -])STARTTLS", rb"\1XXXXXXXA", data)
        writer.write(data)
        await writer.drain()
    writer.close()


async def main(name: str, port: int) -> None:
    address = socket.gethostbyname(name)
    table = NFT.format(address=address, port=port, user=NOBODY, here=HERE)
    subprocess.run(["nft", "-f", "-"], input=table, text=True, check=True)
    os.setgid(NOBODY)
    os.setuid(NOBODY)

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream_reader, upstream_writer = await asyncio.open_connection(address, port)
        await asyncio.gather(pipe(reader, upstream_writer, False), pipe(upstream_reader, writer, True), return_exceptions=True)

    server = await asyncio.start_server(relay, *HERE)
    async with server:
        await server.serve_forever()


asyncio.run(main(sys.argv[1], int(sys.argv[2])))
