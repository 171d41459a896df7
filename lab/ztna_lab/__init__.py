"""The NAT laboratory: real NATs in network namespaces, around the real programs.

    namespaces   hosts, links, child processes, and the end of all of them
    nat          rule sets of home routers and carriers (nftables)
    oracle       which pairs of NATs can be punched, by RFC 4787 reasoning
    wan          topologies: sites, their NATs, the network between them
    system       CA, policy and daemons of a laboratory
    services     the private services behind the Connector (a program of its own)
    traffic      HTTP and UDP through the Agent's forwards
    wire         one frame for one datagram
    capture      tcpdump on a host's interface
    scene        one Agent, one Connector: what can be done and asserted
    scenarios    what is set up, what must come out, and why
    events       scenarios in which something happens
    roaming      scenarios in which machines move, sleep and meet others
    line         a line with delay, jitter, loss and a rate (a program of its own)
    run          runs a scenario
    matrix       every network against every other; page draws it
    jobs         several laboratories at once
    shell        a shell on one of the hosts
    commands     the command line

Python's standard library only. Nothing outside the laboratory's own namespaces is touched, but for
their files in /etc/netns.
"""
