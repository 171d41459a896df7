// Why a connection to a host could not be made.
#pragma once

#include <cstdint>
#include <string_view>

namespace ztna::io {

enum class ConnectError : std::uint8_t {
  refused,        // the host answers, nobody listens
  unreachable,    // no route, or a router said so
  timed_out,      // no answer in time (names included)
  no_such_host,   // the name does not exist, or no resolver answered
  exhausted,      // this process is out of descriptors, ports or memory
  not_permitted,  // a local firewall
  other,
};
[[nodiscard]] std::string_view to_string(ConnectError error);

struct ConnectFailure {
  ConnectError error = ConnectError::other;
  int os_error = 0;  // errno; 0 where there is none (time-out, names)
};

// What an errno of connect(2) means.
[[nodiscard]] ConnectFailure connect_failure(int os_error);

}  // namespace ztna::io
