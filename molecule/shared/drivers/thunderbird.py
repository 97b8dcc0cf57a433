"""Ask the real Thunderbird of the person who runs this what it has, over Marionette (headless, standard library only).

Reads one JSON object from standard input, prints one. Thunderbird starts as that person would start it: own home, no
profile named. It starts offline, so that it asks for no password before there is one. Keys of the request, all optional:

    passwords  {user name: password}: remember them, go online, log in to every account and look into its inbox
    send_to    address: send one message from every identity through that identity's own outgoing server
    connect    [[host, port]]: does it take their certificates? TLS from the first byte; "ok", or the code that it refuses with
    make       {type, hostname, username, email, full_name}: first make an account by hand, as the person might, unless it is there
    choose     user name: then choose names, a signature, folders and a second identity in that account, as the person might
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from typing import Any

PORT = 2828
STARTED_WITHIN = 60  # seconds
ANSWERS_WITHIN = 150  # seconds

# Thunderbird 153 calls hostname what 140 calls hostName.
COMMON = """
const {MailServices} = ChromeUtils.importESModule("resource:///modules/MailServices.sys.mjs");
const SMTP = MailServices.outgoingServer || MailServices.smtp;
const host = server => server.hostName ?? server.hostname;
const within = (seconds, promise) =>
  Promise.race([promise, new Promise(resolve => setTimeout(() => resolve("no answer"), seconds * 1000))]);
const finished = start => new Promise(resolve => {
  const listener = {QueryInterface: ChromeUtils.generateQI(["nsIUrlListener"]),
    OnStartRunningUrl() {}, OnStopRunningUrl(_, status) { resolve(status); }};
  try { start(listener); } catch (error) { resolve(String(error)); }
});
"""

LIST = """
const describe = server => ({host: host(server), port: server.port, socket: server.socketType, user: server.username});
return {
  version: Services.appinfo.version,
  profile: Services.dirsvc.get("ProfD", Ci.nsIFile).path,
  accounts: MailServices.accounts.accounts.filter(a => a.incomingServer.type != "none").map(account => ({
    key: account.key,
    type: account.incomingServer.type,
    label: account.incomingServer.prettyName,
    ...describe(account.incomingServer),
    identities: account.identities.map(identity => ({
      email: identity.email, name: identity.fullName, organization: identity.organization, outgoing: identity.smtpServerKey,
      signature: identity.htmlSigText, sent: identity.fccFolderURI, archives: identity.archivesFolderURI,
    })),
  })),
  outgoing: Object.fromEntries(SMTP.servers.map(server => {
    const smtp = server.QueryInterface(Ci.nsISmtpServer);
    return [server.key, {host: smtp.hostname, port: smtp.port, socket: server.socketType, user: server.username}];
  })),
};
"""

MAKE = """
const [wanted] = args;
if (MailServices.accounts.accounts.some(account => account.incomingServer.username == wanted.username)) return;
const server = MailServices.accounts.createIncomingServer(wanted.username, wanted.hostname, wanted.type);
const identity = MailServices.accounts.createIdentity();
identity.email = wanted.email;
identity.fullName = wanted.full_name;
const account = MailServices.accounts.createAccount();
account.incomingServer = server;
account.addIdentity(identity);
"""

CHOOSE = """
const [user] = args;
const account = MailServices.accounts.accounts.find(account => account.incomingServer.username == user);
const identity = account.defaultIdentity, second = MailServices.accounts.createIdentity();
account.incomingServer.prettyName = "Chosen label";
Object.assign(identity, {fullName: "Chosen Zoë", htmlSigText: "Chosen 名前", htmlSigFormat: true,
  fccFolderURI: MailServices.accounts.localFoldersServer.rootFolder.URI + "/Sent",
  archivesFolderURI: account.incomingServer.rootFolder.URI + "/Old mail"});
Object.assign(second, {email: "second@example.org", fullName: "Second Zoë", htmlSigText: "Second 名前",
  smtpServerKey: identity.smtpServerKey, fccFolderURI: account.incomingServer.rootFolder.URI + "/Sent"});
account.addIdentity(second);
"""

LOGIN = """
const [passwords] = args;
async function remember(origin, user) {
  const login = Cc["@mozilla.org/login-manager/loginInfo;1"].createInstance(Ci.nsILoginInfo);
  login.init(origin, null, origin, user, passwords[user] ?? "", "", "");
  await Services.logins.addLoginAsync(login).catch(() => {});  // it is remembered already
}
const servers = MailServices.accounts.allServers.filter(server => server.username in passwords);
const scheme = {imap: "imap", pop3: "mailbox"};
for (const server of servers) await remember(`${scheme[server.type]}://${host(server)}`, server.username);
for (const server of SMTP.servers) await remember(`smtp://${server.QueryInterface(Ci.nsISmtpServer).hostname}`, server.username);
Services.io.offline = false;
const inboxOf = server => server.rootFolder.getFolderWithFlags(Ci.nsMsgFolderFlags.Inbox);
const pause = () => new Promise(resolve => setTimeout(resolve, 200));
const until = async (seconds, holds) => { for (let i = 0; i < seconds * 5 && !holds(); i++) await pause(); };
const filled = inbox => inbox.getTotalMessages(false) > 0;
const result = {};
for (const server of servers) {
  if (server.type == "pop3") {
    const inbox = inboxOf(server);
    const status = await within(20, finished(listener => MailServices.pop3.GetNewMail(null, listener, inbox, server)));
    await until(5, () => filled(inbox));
    result[server.username] = {status, messages: inbox.getTotalMessages(false)};
    continue;
  }
  const status = await within(20, finished(listener => server.verifyLogon(listener, null)));
  server.performExpand(null);
  await until(10, () => inboxOf(server));
  const inbox = inboxOf(server)?.QueryInterface(Ci.nsIMsgImapMailFolder);
  // Going online makes Thunderbird look for mail by itself; a look of ours that comes in between may end without any.
  for (let look = 0; look < 5 && inbox && status == 0 && !filled(inbox); look++) {
    await within(20, finished(listener => inbox.updateFolderWithListener(null, listener)));
    await until(2, () => filled(inbox));
  }
  result[server.username] = {status, messages: inbox ? inbox.getTotalMessages(false) : null};
}
return result;
"""

CONNECTIONS = """
const connections = async places => {
  const service = Cc["@mozilla.org/network/socket-transport-service;1"].getService(Ci.nsISocketTransportService);
  const result = {};
  Services.io.offline = false;
  for (const [host, port] of places) result[`${host}:${port}`] = await within(20, new Promise(resolve => {
    const transport = service.createTransport(["ssl"], host, port, null, null);
    const input = transport.openInputStream(0, 0, 0).QueryInterface(Ci.nsIAsyncInputStream);
    transport.openOutputStream(Ci.nsITransport.OPEN_BLOCKING, 0, 0);
    input.asyncWait({onInputStreamReady(stream) {
      try { stream.available(); resolve("ok"); } catch (error) { resolve("0x" + error.result.toString(16)); }
      transport.close(Cr.NS_OK);
    }}, 0, 0, Services.tm.mainThread);
  }));
  return result;
};
"""

SEND = """
const [to, subject] = args;
const result = {};
for (const account of MailServices.accounts.accounts) for (const identity of account.identities) {
  const fields = Cc["@mozilla.org/messengercompose/composefields;1"].createInstance(Ci.nsIMsgCompFields);
  Object.assign(fields, {from: identity.email, to, subject: `${subject} ${identity.email}`, body: "sent by the fleet\\r\\n",
    forcePlainText: true, useMultipartAlternative: false, fcc: "nocopy://", fcc2: "nocopy://"});
  const send = Cc["@mozilla.org/messengercompose/send;1"].createInstance(Ci.nsIMsgSend);
  result[identity.email] = await within(20, new Promise(resolve => {
    const listener = {QueryInterface: ChromeUtils.generateQI(["nsIMsgSendListener"]),
      onStartSending() {}, onSendProgress() {}, onProgress() {}, onStatus() {}, onGetDraftFolderURI() {},
      onSendNotPerformed() { resolve("not performed"); },
      onTransportSecurityError(id, status) { resolve(`TLS ${status}`); },
      onStopSending(id, status) { resolve(status ?? 0); }};
    Promise.resolve(send.createAndSendMessage(null, identity, account.key, fields, false, false, Ci.nsIMsgSend.nsMsgDeliverNow,
      null, "text/plain", fields.body, null, null, listener, "", "", Ci.nsIMsgCompType.New)).catch(e => resolve(String(e)));
  }));
}
return result;
"""


class Marionette:
    """Thunderbird's remote control: length-prefixed JSON on a local port."""

    def __init__(self) -> None:
        self.socket = socket.create_connection(("127.0.0.1", PORT), timeout=ANSWERS_WITHIN)
        self.stream = self.socket.makefile("rb")
        self.count = 0
        self._receive()  # its greeting
        capabilities = {"alwaysMatch": {"timeouts": {"script": ANSWERS_WITHIN * 1000}}}
        # Answers once the main window is idle; a dialog that wants an answer keeps it from being so.
        self.command("WebDriver:NewSession", capabilities=capabilities)
        self.command("Marionette:SetContext", value="chrome")

    def _receive(self) -> Any:
        length = b""
        while (digit := self.stream.read(1)) != b":":
            if not digit:
                raise EOFError("Thunderbird closed the connection")
            length += digit
        return json.loads(self.stream.read(int(length)))

    def command(self, name: str, **parameters: Any) -> Any:
        self.count += 1
        message = json.dumps([0, self.count, name, parameters]).encode()
        self.socket.sendall(b"%d:%s" % (len(message), message))
        _, _, error, value = self._receive()
        if error:
            raise RuntimeError(f"{name}: {error.get('error')}: {error.get('message')}")
        return value

    def run(self, script: str, *args: Any) -> Any:
        """Run the body of an async function that finds its arguments in `args`; returns its JSON value."""
        wrapped = (
            "const args = Array.from(arguments), done = args.pop();"
            f"(async () => {{ {COMMON} {script} }})().then(value => done([value ?? null]), error => done(`${{error}} ${{error.stack}}`));"
        )
        value = self.command("WebDriver:ExecuteAsyncScript", script=wrapped, args=list(args), newSandbox=True)["value"]
        if not isinstance(value, list):
            raise RuntimeError(f"Thunderbird: {value}")
        return value[0]


def start() -> subprocess.Popen[bytes]:
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", PORT)) == 0:
            sys.exit(f"port {PORT} is taken: somebody else's Thunderbird would answer")
    environment = {**os.environ, "MOZ_HEADLESS": "1", "MOZ_CRASHREPORTER_DISABLE": "1"}
    command = ["thunderbird", "--no-remote", "--offline", "--marionette", "--remote-allow-system-access"]
    # What it says (pages of GTK's complaints about the missing screen) is of use to nobody.
    silent = subprocess.DEVNULL
    return subprocess.Popen(command, env=environment, stdin=silent, stdout=silent, stderr=silent, start_new_session=True)


def connect(process: subprocess.Popen[bytes]) -> Marionette:
    end = time.monotonic() + STARTED_WITHIN
    while True:
        try:
            return Marionette()
        except ConnectionRefusedError:
            if process.poll() is not None or time.monotonic() > end:
                raise
            time.sleep(0.1)


def main() -> None:
    request = json.load(sys.stdin)
    process = start()
    try:
        thunderbird = connect(process)
        if "make" in request:
            thunderbird.run(MAKE, request["make"])
        if "choose" in request:
            thunderbird.run(CHOOSE, request["choose"])
        answer = thunderbird.run(LIST)
        if "connect" in request:
            answer["connections"] = thunderbird.run(CONNECTIONS + "return connections(args[0]);", request["connect"])
        if "passwords" in request:
            answer["logins"] = thunderbird.run(LOGIN, request["passwords"])
        if "send_to" in request:
            answer["sent"] = thunderbird.run(SEND, request["send_to"], request.get("subject", "from Thunderbird"))
        # Closed as a person closes it: what it wants to keep is written.
        thunderbird.command("Marionette:Quit", flags=["eAttemptQuit"])
        process.wait(30)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
