// How a message becomes one line. Pure. Whatever a peer put into a value stays on its line and
// cannot move the cursor of the terminal that shows it.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "logging/field.hpp"
#include "logging/level.hpp"

namespace ztna::logging {

// Printable UTF-8 as it is; control characters, direction overrides and what is not UTF-8 as
// \n, \t, \xNN or \u{N}.
[[nodiscard]] std::string escaped(std::string_view text);

// "INFO  agent  Path selected: RELAY session=ab12 reason=start rtt_ms=3.2". A value with blanks,
// quotes or "=" is put in double quotes.
[[nodiscard]] std::string text_line(Level level, std::string_view program, std::string_view message,
                                    std::span<const Field> fields);

// The members of a JSON object and its closing brace: what follows {"time":"…",
[[nodiscard]] std::string json_rest(Level level, std::string_view program, std::string_view message,
                                    std::span<const Field> fields);

}  // namespace ztna::logging
