// `ztna validate`: is a deployment what it should be? Runs what an Agent's machine can, and fills
// in the table.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: 0 nothing is unmet, open criteria allowed, 1 something is not met, 2 wrong usage.
// `context` outlives `root`.
void add_validate_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
