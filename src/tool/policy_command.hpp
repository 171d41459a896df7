// `ztna policy`: ask a policy file what the daemons would decide.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Registers check. Exit codes: 0 allowed (or valid), 1 denied, 2 wrong input. `context` outlives
// `root`.
void add_policy_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
