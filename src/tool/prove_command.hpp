// `ztna prove`: which path a session's traffic takes, proven on the live system, and the check of
// such a proof by others.
#pragma once

#include "tool/context.hpp"

namespace CLI {  // NOLINT(readability-identifier-naming): CLI11 chose it
class App;
}

namespace ztna::tool {

// Exit codes: 0 all four tests passed, 1 not, 2 wrong usage or a file that is no report.
// `context` outlives `root`.
void add_prove_command(CLI::App& root, Context& context);

}  // namespace ztna::tool
