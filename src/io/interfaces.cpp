#include "io/interfaces.hpp"

#include <ifaddrs.h>
#include <net/if.h>

#include "io/socket_util.hpp"

namespace ztna::io {

std::vector<base::Address> interface_addresses() {
  std::vector<base::Address> all;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) return all;
  for (const ifaddrs* entry = list; entry != nullptr; entry = entry->ifa_next) {
    if (entry->ifa_addr == nullptr || (entry->ifa_flags & IFF_UP) == 0) continue;
    const int family = entry->ifa_addr->sa_family;
    if (family != AF_INET && family != AF_INET6) continue;
    const base::Address address = from_sockaddr(entry->ifa_addr);
    if (!address.is_v4() && address.is_link_local()) continue;
    all.push_back(address.with_port(0));
  }
  freeifaddrs(list);
  return all;
}

}  // namespace ztna::io
