// Application error codes of CONNECTION_CLOSE, RESET_STREAM and STOP_SENDING (RFC 9000 §20.2) on
// sessions and uplinks.
#pragma once

#include <cstdint>

namespace ztna::session {

enum CloseCode : std::uint64_t {
  close_normal = 0,
  close_shutting_down = 1,
  close_denied = 2,
  close_protocol = 3,
  close_replaced = 4,
  close_idle = 5,
};

inline constexpr std::uint64_t stream_reset_code = 1;

}  // namespace ztna::session
