// `ztna status`: what the daemons of this machine are doing.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: 0 shown, 1 a daemon that was asked for is not there. `context` outlives `root`.
void add_status_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
