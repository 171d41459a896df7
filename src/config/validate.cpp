#include <algorithm>
#include <set>

#include "config/options.hpp"
#include "config/values.hpp"
#include "identity/principal.hpp"

namespace ztna::config {
namespace {

tl::unexpected<base::Error> invalid(const char* flag, std::string what) {
  return base::fail(base::ErrorCode::invalid_argument, std::move(what), flag);
}

// Port 0 is "any free port": two of those never collide.
template <class Range, class Name>
base::Status check_unique(const char* flag, const Range& items, Name name, const char* what) {
  std::set<std::string> seen;
  for (const auto& item : items) {
    const std::string text = name(item);
    if (text.empty() || seen.insert(text).second) continue;
    return invalid(flag, in_quotes(text) + " " + what);
  }
  return {};
}

std::string bound(const base::Address& address) {
  return address.port() == 0 ? "" : address.to_string();
}

base::Status check_intermediates(const std::vector<base::HostPort>& intermediates) {
  if (intermediates.empty()) {
    return invalid("--intermediate", "is missing, expected at least one HOST[:PORT]");
  }
  return check_unique(
      "--intermediate", intermediates, [](const auto& peer) { return peer.to_string(); },
      "is given twice");
}

base::Status check_name(const char* flag, const std::string& name) {
  if (identity::is_valid_name(name)) return {};
  return invalid(flag, in_quotes(name) +
                           " is not a service name, expected 1 to 63 of a-z, 0-9 and "
                           "inner \"-\"");
}

base::Status check_advertised(const std::vector<base::Address>& advertised) {
  for (const base::Address& address : advertised) {
    if (address.is_unspecified() || address.is_multicast() || address.port() == 0) {
      return invalid("--p2p-advertise",
                     in_quotes(address.to_string()) + " is not an address that a peer can send to");
    }
  }
  return {};
}

// Every TCP listener of an Agent, with the flag that asked for it.
base::Status check_listeners(const AgentOptions& options) {
  std::set<std::pair<Transport, std::string>> seen;
  const auto taken = [&](Transport transport, const base::Address& address) {
    return address.port() != 0 && !seen.emplace(transport, address.to_string()).second;
  };
  for (const Forward& forward : options.forwards) {
    if (taken(forward.transport, forward.listen)) {
      return invalid("--forward", in_quotes(std::string(to_string(forward.transport)) + "://" +
                                            forward.listen.to_string()) +
                                      " is given twice, expected one service a listener");
    }
  }
  if (options.socks && taken(Transport::tcp, *options.socks)) {
    return invalid("--socks", in_quotes(options.socks->to_string()) + " is a --forward already");
  }
  if (options.common.health && taken(Transport::tcp, *options.common.health)) {
    return invalid("--health", in_quotes(options.common.health->to_string()) +
                                   " is a --forward or --socks already");
  }
  return {};
}

}  // namespace

base::Status validate(const IntermediateOptions& options) {
  if (options.listen.empty()) {
    return invalid("--listen", "is empty, expected at least one ADDR:PORT");
  }
  std::vector<base::Address> all = options.listen;
  all.insert(all.end(), options.alt_listen.begin(), options.alt_listen.end());
  const char* flag = options.alt_listen.empty() ? "--listen" : "--alt-listen";
  return check_unique(flag, all, bound, "is given twice, in --listen or --alt-listen");
}

base::Status validate(const ConnectorOptions& options) {
  if (auto status = check_intermediates(options.intermediates); !status) return status;
  if (options.services.empty()) {
    return invalid("--service",
                   "is missing, expected NAME=tcp|udp://HOST:PORT, or --service-id "
                   "and --local-addr");
  }
  for (const Service& service : options.services) {
    if (auto status = check_name("--service", service.name); !status) return status;
    if (service.backend.port == 0) {
      return invalid("--service", in_quotes(service.to_string()) + " has port 0");
    }
  }
  if (auto status = check_unique(
          "--service", options.services, [](const Service& service) { return service.name; },
          "names two services, expected one backend a name");
      !status) {
    return status;
  }
  if (options.no_p2p && !options.p2p_advertise.empty()) {
    return invalid("--p2p-advertise", "contradicts --no-p2p, expected one of them");
  }
  return check_advertised(options.p2p_advertise);
}

base::Status validate(const AgentOptions& options) {
  if (auto status = check_intermediates(options.intermediates); !status) return status;
  for (const Forward& forward : options.forwards) {
    if (auto status = check_name("--forward", forward.service); !status) return status;
  }
  if (options.no_p2p && options.direct_only) {
    return invalid("--direct-only", "contradicts --no-p2p, expected one of them");
  }
  return check_listeners(options);
}

std::vector<std::string> cautions(const AgentOptions& options) {
  std::vector<std::string> notes;
  const auto open_to_others = [&](const std::string& what, const base::Address& address) {
    if (address.is_loopback()) return;
    notes.push_back(what + ": anybody who reaches this address uses your identity");
  };
  for (const Forward& forward : options.forwards) {
    open_to_others("--forward " + forward.to_string(), forward.listen);
  }
  if (options.socks) open_to_others("--socks " + options.socks->to_string(), *options.socks);
  return notes;
}

}  // namespace ztna::config
