# SPDX-License-Identifier: GPL-2.0-or-later
"""A user with an authentication agent, who calls Migrate: `agent.py USER ANSWER HOW`.

ANSWER is what the person at the dialog does: grant, dismiss, fail, or leave: the caller leaves the
bus while the dialog is open. HOW the call is made: with the flag that allows a dialog (flag),
without it (plain), with both it and the option that forbids one (quiet).

Prints a JSON object: the dialog's message, and what came of it.
"""

import asyncio
import encodings.idna  # noqa: F401 - a user other than root may not be able to read it later
import json
import os
import pwd
import sys
from pathlib import Path
from typing import Any

from dbus_next import BusType, Message, MessageFlag, MessageType, Variant
from dbus_next.aio import MessageBus

from tests.bus.client import MANAGER, NAME, ROOT, SOURCE, disconnect

POLKIT = "org.freedesktop.PolicyKit1"
AUTHORITY = "/org/freedesktop/PolicyKit1/Authority"
AGENT = "/agent"


class Agent:
    """Shows no dialog, and answers it."""

    def __init__(self, user: MessageBus, root: MessageBus, answer: str) -> None:
        self.user = user
        self.root = root
        self.answer = answer
        self.said: dict[str, Any] = {}
        self.opened = asyncio.Event()
        self.withdrawn = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        user.add_message_handler(self.receive)

    async def register(self, uid: int) -> None:
        start = int(Path("/proc/self/stat").read_text().rsplit(")", 1)[1].split()[19])
        subject = [
            "unix-process",
            {
                "pid": Variant("u", os.getpid()),
                "start-time": Variant("t", start),
                "uid": Variant("i", uid),
            },
        ]
        body = [subject, "en_US.UTF-8", AGENT]
        reply = await self.user.call(ask("RegisterAuthenticationAgent", "(sa{sv})ss", body))
        assert reply
        assert reply.message_type is MessageType.METHOD_RETURN, reply.body

    def receive(self, message: Message) -> bool | None:
        if message.message_type is not MessageType.METHOD_CALL:
            return None
        if message.member == "BeginAuthentication":
            self.said["message"] = message.body[1]
            self.opened.set()
            task = asyncio.get_running_loop().create_task(self.respond(message))
            self.tasks.add(task)
        else:
            self.withdrawn.set()
            self.user.send(Message.new_method_return(message))
        return True

    async def respond(self, message: Message) -> None:
        cookie, identities = message.body[4], message.body[5]
        match self.answer:
            case "grant":
                body = [os.getuid(), cookie, identities[0]]
                reply = await self.root.call(
                    ask("AuthenticationAgentResponse2", "us(sa{sv})", body)
                )
                assert reply
                assert reply.message_type is MessageType.METHOD_RETURN, reply.body
            case "dismiss":
                error = POLKIT + ".Error.Cancelled"
                self.user.send(Message.new_error(message, error, "dismissed"))
                return
            case "leave":
                return
        self.user.send(Message.new_method_return(message))


def ask(member: str, signature: str, body: list[Any]) -> Message:
    return Message(
        destination=POLKIT,
        path=AUTHORITY,
        interface=POLKIT + ".Authority",
        member=member,
        signature=signature,
        body=body,
    )


def migrate(how: str) -> Message:
    flag = MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION
    options = {"auth.no_user_interaction": Variant("b", how == "quiet")}
    return Message(
        destination=NAME,
        path=ROOT,
        interface=MANAGER,
        member="Migrate",
        signature="ssa{sv}",
        body=[SOURCE, "web7", options],
        flags=MessageFlag.NONE if how == "plain" else flag,
    )


async def main(name: str, answer: str, how: str) -> None:
    person = pwd.getpwnam(name)
    root = await MessageBus(bus_type=BusType.SYSTEM).connect()
    os.initgroups(person.pw_name, person.pw_gid)
    os.setresgid(person.pw_gid, person.pw_gid, person.pw_gid)
    os.setresuid(person.pw_uid, person.pw_uid, person.pw_uid)
    user = await MessageBus(bus_type=BusType.SYSTEM).connect()
    caller = await MessageBus(bus_type=BusType.SYSTEM).connect()
    agent = Agent(user, root, answer)
    await agent.register(person.pw_uid)
    if answer == "leave":
        caller.send(migrate(how))
        await agent.opened.wait()
        disconnect(caller)
        await agent.withdrawn.wait()
        agent.said["withdrawn"] = True
    else:
        reply = await caller.call(migrate(how))
        assert reply
        agent.said["result"] = reply.error_name or reply.body[0]
    sys.stdout.write(json.dumps(agent.said) + "\n")


if __name__ == "__main__":
    asyncio.run(asyncio.wait_for(main(*sys.argv[1:]), 15))
