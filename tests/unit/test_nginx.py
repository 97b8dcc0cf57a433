"""What is read from nginx's configuration."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx import configuration, site
from ansible_collections.msp.charter_mail.plugins.module_utils.nginx.configuration import Clash, Listen, listen_on

OWN = "/etc/nginx/conf.d/charter-mail-acme.conf"
MAIN = """user www-data; pid /run/other.pid;
error_log "/var/log/ngi nx.log" warn;  # include nothing;
events { }
http {
    include conf.d/*.conf;
    include /etc/nginx/sites-enabled/*;
}
stream { include stream.d/*; }
"""


def dump(**files: str) -> str:
    """What nginx -T prints for sites-enabled/<name>."""
    text = f"# configuration file /etc/nginx/nginx.conf:\n{MAIN}\n"
    return text + "".join(f"# configuration file /etc/nginx/{name.replace('__', '/')}:\n{files[name]}\n" for name in files)


def others(*servers: str, port: int = 443) -> Any:
    config = configuration.read(dump(**{f"sites-enabled__{number}": server for number, server in enumerate(servers)}))
    listens, dual = listen_on(config, OWN, port)
    return [listen.address for listen in listens], dual


def server(*listens: str, more: str = "") -> str:
    return f"server {{ {''.join(f'listen {listen};' for listen in listens)} {more} }}"


def test_directives_outside_of_blocks() -> None:
    assert configuration.read(dump()).main == {"user": "www-data", "pid": "/run/other.pid", "error_log": "/var/log/ngi nx.log"}
    assert configuration.read("").main == {}


@pytest.mark.parametrize(
    ("listens", "expected"),
    [
        (["443 ssl"], ["0.0.0.0"]),
        (["*:443 ssl", "0.0.0.0:443 ssl", "[::]:443 ssl"], ["0.0.0.0", "::"]),
        (["192.0.2.7:443 ssl", "[2001:DB8:0::7]:443 ssl"], ["192.0.2.7", "2001:db8::7"]),
        (["www.example.org:443 ssl"], ["www.example.org"]),
        (["192.0.2.7", "80", "[::1]", "unix:/run/x:443 ssl", "443 quic", "443 udp", "8443 ssl"], []),
        (["400-500 ssl", "192.0.2.7:444-500 ssl"], ["0.0.0.0"]),
        (['"443" ssl', "'127.0.0.1:443' ssl", "127.0.0.2:443 ssl # and ; more }\n"], ["0.0.0.0", "127.0.0.1", "127.0.0.2"]),
        (["nonsense:here ssl", "443 ssl"], ["0.0.0.0"]),
    ],
)
def test_where_others_listen(listens: list[str], expected: list[str]) -> None:
    assert others(server(*listens)) == (expected, False)


def test_what_is_around_a_server_does_not_matter() -> None:
    text = """
    map $http_upgrade $x { default upgrade; '' close; "a } b" 1; }
    upstream there { server 192.0.2.9:443; }
    server { # listen 1;
        location ~ ^/${x}/{ return 200 "listen 2; }"; }
        if ($x = "}") { return 404; }
        add_header X '{"listen 3;"}';
        listen 192.0.2.7:443 ssl;
    }
    """
    assert others(text) == (["192.0.2.7"], False)


def test_a_socket_for_both_families() -> None:
    assert others(server("[::]:443 ssl ipv6only=off")) == (["::"], True)
    assert others(server("[::]:443 ssl ipv6only=on")) == (["::"], False)
    assert others(server("[::]:443 ssl ipv6only=off"), server("443 ssl")) == (["::", "0.0.0.0"], False)


def test_included_listen_directives() -> None:
    config = configuration.read(
        dump(snippets__tls="listen 443 ssl;", **{"sites-enabled__a": "server { include snippets/tls; server_name a; }"})
    )
    assert config.servers == [configuration.Server("http", "/etc/nginx/sites-enabled/a", [Listen("0.0.0.0", (443, 443), ssl=True)], ["a"])]


def test_files_that_include_each_other_end() -> None:
    text = f"# configuration file /etc/nginx/nginx.conf:\n{MAIN}include /etc/nginx/nginx.conf; include *.conf;\n"
    assert configuration.read(text, {"/etc/nginx/else.conf": "include nginx.conf;"}).main["user"] == "www-data"


def test_a_port_without_tls_stays_without() -> None:
    with pytest.raises(Clash, match="the site in /etc/nginx/sites-enabled/0 is served on port 8443 without TLS"):
        others(server("8443"), port=8443)
    with pytest.raises(Clash, match="on port 80 without TLS"):
        others("server { }", port=80)
    # Another listen directive for the same socket, or the old directive, makes it TLS.
    assert others(server("443"), server("443 ssl")) == (["0.0.0.0"], False)
    assert others(server("443", more="ssl on;")) == (["0.0.0.0"], False)
    with pytest.raises(Clash):
        others(server("443 ssl"), server("192.0.2.7:443"))


def test_a_port_of_another_part_of_nginx() -> None:
    config = configuration.read(dump(**{"stream.d__a": "server { listen 443; proxy_pass 192.0.2.9:443; }"}))
    with pytest.raises(Clash, match="port 443 is taken by the stream part of this nginx, in /etc/nginx/stream.d/a; write a port"):
        listen_on(config, OWN, 443)
    assert listen_on(config, OWN, 8443) == ([], False)


def test_our_own_file_is_left_out_and_put_where_it_will_be_read() -> None:
    text = dump(**{"conf.d__charter-mail-acme.conf": server("443 ssl")})
    assert listen_on(configuration.read(text), OWN, 443) == ([], False)
    assert [one.file for one in configuration.read(dump(**{"sites-enabled__a": server("443 ssl")}), {OWN: server("443 ssl")}).servers] == [
        OWN,
        "/etc/nginx/sites-enabled/a",
    ]
    assert OWN not in configuration.read(text.replace("conf.d/*.conf", "conf.d/*.vhost"), {OWN: ""}).files


@pytest.mark.parametrize(
    ("file", "listens", "names", "displaced"),
    [
        ("sites-enabled__a", ["443 ssl"], "_", True),
        ("sites-enabled__a", ["443 ssl default_server"], "_", False),
        ("sites-enabled__a", ["[::]:443 ssl"], "_", False),
        ("sites-enabled__a", ["192.0.2.7:443 ssl"], "_", True),
        ("conf.d__a.conf", ["443 ssl"], "_", False),
        ("conf.d__zz.conf", ["443 ssl"], "_", True),
    ],
)
def test_whose_place_as_default_ours_would_take(file: str, listens: list[str], names: str, displaced: bool) -> None:
    mine = server("443 ssl", "192.0.2.7:443 ssl")
    config = configuration.read(dump(**{file: server(*listens, more=f"server_name {names};")}), {OWN: mine})
    found = configuration.displaced(config, OWN, 443)
    assert bool(found) is displaced and (not found or found.file == f"/etc/nginx/{file.replace('__', '/')}")


@pytest.mark.parametrize(
    ("names", "nameless"), [("", True), ("_", True), ("'' _ 192.0.2.7", True), ("www.example.org", False), ("_ *.a", False)]
)
def test_sites_that_live_from_other_names(names: str, nameless: bool) -> None:
    (one,) = configuration.read(dump(**{"sites-enabled__a": server("443", more=f"server_name {names};" if names else "")})).servers
    assert configuration.is_nameless(one) is nameless


@pytest.mark.parametrize("name", ["..", ".", "", "a/b", "/a", "a/", "a\\b", "a\0", "a\n", "\x7f"])
def test_what_is_no_name(name: str) -> None:
    assert not site.is_plain(name)
    assert not any(map(site.is_profile, (name + "/x", "x/" + name)))


def test_what_is_a_name() -> None:
    assert all(map(site.is_plain, ["acme", "...", ".acme", "a b", "A", "zoë", "%2F", "-rf"]))
    assert site.is_profile("jane@example.org/jane-iphone.mobileconfig") and not site.is_profile("a/b/c") and not site.is_profile("a")
