// `ztna ca`: the private certificate authority on the command line.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Registers init, request, issue, list, renew and revoke. `context` outlives `root`.
void add_ca_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
