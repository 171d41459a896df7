// The addresses of this machine's network interfaces.
#pragma once

#include <vector>

#include "base/address.hpp"

namespace ztna::io {

// Every address of every interface that is up, with port 0, loopback included, IPv6 link-local left
// out (it means nothing without its scope). Empty when the system does not tell.
[[nodiscard]] std::vector<base::Address> interface_addresses();

}  // namespace ztna::io
