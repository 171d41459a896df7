"""The NAT laboratory: real NATs in network namespaces, around the real programs.

    namespaces   hosts, links, child processes, and the end of all of them
    nat          rule sets of home routers and carriers (nftables)
    oracle       which pairs of NATs can be punched, by RFC 4787 reasoning
    wan          topologies: sites, their NATs, the network between them
    system       CA, policy and daemons of a laboratory
    services     the private services behind the Connector (a program of its own)
    traffic      HTTP and UDP through the Agent's forwards
    capture      tcpdump on a host's interface
    scenarios    what is set up, what must come out, and why
    run          runs a scenario
    matrix       every NAT kind against every other; page draws it
    commands     the command line

Python's standard library only. Nothing outside the laboratory's own namespaces is touched.
"""

# Whether sessions of the programs under test can leave the relay. Scenarios with
# `needs_direct` are skipped while it is False, and every other one expects the relay.
DIRECT_PATHS = False
