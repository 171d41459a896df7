"""What people would take instead, from Debian's packages, in the place where we are measured.

    peer         what each of them is to this bench
    wireguard    wireguard-go
    nebula       nebula, direct and relayed
    openvpn      openvpn
    ours         the same of us
    compare      one table of all
"""
