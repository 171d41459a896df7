// The names of log levels and formats, apart from the machinery so that options can hold them.
#pragma once

#include <cstdint>

namespace ztna::logging {

enum class Level : std::uint8_t { debug, info, warn, error };
enum class Format : std::uint8_t { text, json };

}  // namespace ztna::logging
