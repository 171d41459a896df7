// `ztna quickstart` on the command line.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: as run_quickstart(), and 2 for wrong usage. `context` outlives `root`.
void add_quickstart_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
