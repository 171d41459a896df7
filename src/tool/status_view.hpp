// What /v1/status says, as a person wants to read it. Pure: text in, text out. Members that are
// missing show as "-", so that a daemon of another version can be looked at, too. Control
// characters from peers are escaped.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace ztna::tool {

// One daemon's document as a headline and a table for each thing it has.
[[nodiscard]] base::Result<std::string> status_text(std::string_view document);

// The same document on one line, whatever its layout.
[[nodiscard]] base::Result<std::string> status_line(std::string_view document);

// The answer of /v1/relay: "relay: on".
[[nodiscard]] base::Result<std::string> relay_text(std::string_view document);

}  // namespace ztna::tool
