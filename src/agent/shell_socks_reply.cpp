#include "agent/shell_socks_reply.hpp"

#include <string_view>

#include "identity/principal.hpp"

namespace ztna::agent {

using session::FlowEnd;
using wire::socks5::Reply;

Reply socks_reply(FlowEnd end) {
  switch (end) {
    case FlowEnd::denied: return Reply::not_allowed;
    case FlowEnd::unavailable:
    case FlowEnd::session_lost: return Reply::network_unreachable;
    case FlowEnd::unknown_service:
    case FlowEnd::backend_unreachable: return Reply::host_unreachable;
    case FlowEnd::backend_refused: return Reply::connection_refused;
    case FlowEnd::backend_timeout:
    case FlowEnd::timed_out: return Reply::ttl_expired;
    case FlowEnd::finished:
    case FlowEnd::reset:
    case FlowEnd::untrusted:
    case FlowEnd::quota:
    case FlowEnd::shutting_down:
    case FlowEnd::protocol_error: break;
  }
  return Reply::general_failure;
}

std::optional<std::string> service_of(const wire::socks5::Destination& destination) {
  if (destination.type != wire::socks5::AddressType::domain) return std::nullopt;
  std::string name = destination.host;
  for (char& c : name) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  if (name.ends_with('.')) name.pop_back();  // the root, as in any absolute domain name
  static constexpr std::string_view zone = ".ztna";
  if (name.ends_with(zone)) name.resize(name.size() - zone.size());
  if (!identity::is_valid_name(name)) return std::nullopt;
  return name;
}

}  // namespace ztna::agent
