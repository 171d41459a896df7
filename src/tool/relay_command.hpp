// `ztna relay`: the Intermediate's relay switch.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Registers on, off and show. Exit codes: 0 done, 1 no Intermediate there. `context` outlives
// `root`.
void add_relay_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
