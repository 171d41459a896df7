// `ztna ping`: round trips to a service's Connector, and by which path they went.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: 0 answered (and with --until-direct, by a direct path), 1 not, 2 wrong usage.
// `context` outlives `root`.
void add_ping_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
