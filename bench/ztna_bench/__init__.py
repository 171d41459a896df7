"""Figures of the whole system: real processes in network namespaces, against the raw path and against
the programs that people would take instead.

    figures      samples, taken in turns; their medians; what was to be reached
    tables       Markdown for people, JSON for programs
    places       hosts and routers that figures are taken between
    system       CA, policy, Intermediate, Connector and Agents with the services to measure
    load         iperf3, wrk and UDP at a steady rate; the servers at the other end
    relay        what the relay costs
    direct       what the direct path costs, through two NATs
    far          a network whose Intermediate is 40 ms away
    flows        a UDP stream and a download that notice every gap and every loss
    moves        how long a session takes to its direct path and back, and what its flows notice
    quiet        packets that nobody asked for: of an idle session, of a punch that cannot work
    memory       QUIC in memory, without sockets
    peers        wireguard-go, nebula and openvpn in the same place
    commands     the command line

Python's standard library and the laboratory (lab/). Nothing outside the laboratory's own namespaces
is touched.
"""
