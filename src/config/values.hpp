// The written forms of option values. Errors say what was found and what is expected, in `what`
// alone; the caller knows where it stands. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/address.hpp"
#include "base/result.hpp"
#include "base/time.hpp"
#include "config/options.hpp"

namespace ztna::config {

// The text in double quotes, a long tail cut.
[[nodiscard]] std::string in_quotes(std::string_view text);
// Without blanks at both ends: spaces, tabs, carriage returns.
[[nodiscard]] std::string_view trimmed(std::string_view text);
// With control characters escaped: what a user typed cannot break the line that quotes it.
[[nodiscard]] std::string one_line(std::string_view text);

[[nodiscard]] base::Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least,
                                                       std::uint64_t most);
// "500ms", "5s", "2m", "1h".
[[nodiscard]] base::Result<base::Duration> parse_duration(std::string_view text,
                                                          base::Duration least,
                                                          base::Duration most);
[[nodiscard]] std::string format_duration(base::Duration duration);
// true|yes|on|1 and false|no|off|0.
[[nodiscard]] base::Result<bool> parse_toggle(std::string_view text);

// ADDR:PORT with an IP address. `zero_port` allows "any free port".
[[nodiscard]] base::Result<base::Address> parse_address(std::string_view text, bool zero_port);
// HOST[:PORT]; port 0 is refused.
[[nodiscard]] base::Result<base::HostPort> parse_peer(std::string_view text,
                                                      std::uint16_t default_port);
// NAME=tcp|udp://HOST:PORT[?health=tcp|none]; tcp is checked by default, udp is not.
[[nodiscard]] base::Result<Service> parse_service(std::string_view text);
// tcp|udp://ADDR:PORT=NAME
[[nodiscard]] base::Result<Forward> parse_forward(std::string_view text);

// "udp://10.0.0.1:4433", which Kubernetes service links put into variables that end in _PORT.
[[nodiscard]] bool is_service_link(std::string_view text);

// The candidate that `text` most likely meant; empty when none is close.
[[nodiscard]] std::string suggest(std::string_view text,
                                  const std::vector<std::string>& candidates);

}  // namespace ztna::config
