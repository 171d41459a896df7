"""Real applications through the tunnel, from an Agent behind one NAT to a Connector behind another:
over the relay, over the direct path, and with no tunnel, through a port that the router forwards.

    places            two homes with a line each, an Intermediate, the system, its Agents
    web               HTTP: httpbin and nginx, downloads, WebSocket, requests at once
    websocket_echo    the WebSocket service (a program of its own)
    quake             the words of a Quake 3 server that belong to no connection
    game              a game server and a player: real programs
    legs              packets at both ends of the path: ping, jitter, loss, snapshots
    grades            how good that is to play
    plays             games played: on a clean line, beside a download, with the path cut
    plot              a picture of them
    browser           Chromium, a page, and a gateway to the game server
    gateway           the page and its WebSocket (a program of its own)
    commands          the command line

Python's standard library, python3-websockets, the laboratory (lab/) and the bench's tables (bench/).
Nothing outside the laboratory's own namespaces is touched.
"""
