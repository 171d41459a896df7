// `ztna netcheck`: what this network does to UDP, and so where a direct path can be expected.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: 0 UDP works, 1 it does not, 2 wrong usage. `context` outlives `root`.
void add_netcheck_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
